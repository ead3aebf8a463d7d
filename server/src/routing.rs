//! Who answers for a model: aliases of its versions, a split of its traffic, shadows; kept beside the
//! manifest in `routing.json`.
//!
//! ```text
//! {"aliases": {"champion": "2026.12", "previous": "2026.11", "challenger": "2027.01"},
//!  "split": {"shares": [{"to": "@champion", "weight": 90}, {"to": "@challenger", "weight": 10}]},
//!  "shadows": ["@challenger"]}
//! ```

use crate::split::Split;
use cvm::repository::{is_model_id, is_version};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Name of the file in a model's folder.
pub(crate) const ROUTING: &str = "routing.json";

/// The alias that answers for a model named alone.
pub(crate) const CHAMPION: &str = "champion";
/// The alias that a moved champion leaves behind.
pub(crate) const PREVIOUS: &str = "previous";

/// Most aliases of one model.
const MAX_ALIASES: usize = 64;

/// Most shadows of one model.
const MAX_SHADOWS: usize = 4;

/// Largest `routing.json`.
const MAX_BYTES: u64 = 1 << 20;

/// Who answers for a model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Routing {
    /// Versions by alias.
    #[serde(default)]
    pub(crate) aliases: BTreeMap<String, String>,
    /// How traffic is split.
    #[serde(default)]
    pub(crate) split: Split,
    /// Versions, or `@alias`, scored beside the champion.
    #[serde(default)]
    pub(crate) shadows: Vec<String>,
}

/// What may be changed by request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// Points an alias at a version. A champion that moves leaves its place as `previous`.
    SetAlias { alias: String, version: String },
    /// Takes an alias away.
    DeleteAlias { alias: String },
    /// Champion and previous change places.
    Rollback,
    /// Splits the traffic.
    SetSplit(Split),
    /// Names the shadows.
    SetShadows(Vec<String>),
}

impl Routing {
    /// Reads and checks the file of a model's folder; none if there is no file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(folder: &Path) -> Result<Option<Routing>, String> {
        let path = folder.join(ROUTING);
        let failed = |error: std::io::Error| format!("{ROUTING}: {error}");
        match std::fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
            Ok(facts) if facts.len() > MAX_BYTES => {
                return Err(format!("{ROUTING} has more than {MAX_BYTES} bytes"));
            }
            Ok(_) => {}
        }
        let text = std::fs::read_to_string(&path).map_err(failed)?;
        Routing::parse(&text).map(Some)
    }

    fn parse(text: &str) -> Result<Routing, String> {
        let routing: Routing =
            serde_json::from_str(text).map_err(|error| format!("{ROUTING}: {error}"))?;
        routing.check().map_err(|why| format!("{ROUTING}: {why}"))?;
        Ok(routing)
    }

    fn check(&self) -> Result<(), String> {
        if self.aliases.len() > MAX_ALIASES {
            return Err(format!("more than {MAX_ALIASES} aliases"));
        }
        for (alias, version) in &self.aliases {
            if !is_model_id(alias) {
                return Err(format!("{alias:?} cannot be an alias"));
            }
            if !is_version(version) {
                return Err(format!("alias {alias}: {version:?} cannot be a version"));
            }
        }
        if self.shadows.len() > MAX_SHADOWS {
            return Err(format!("more than {MAX_SHADOWS} shadows"));
        }
        let shares = self.split.shares.iter().map(|share| &share.to);
        let wrong =
            |to: &&String| !is_version(to) && !to.strip_prefix('@').is_some_and(is_model_id);
        if let Some(to) = shares.chain(&self.shadows).find(wrong) {
            return Err(format!("{to:?} is neither a version nor `@alias`"));
        }
        self.split.check()
    }

    /// The version that a version or `@alias` means.
    pub(crate) fn target<'a>(&'a self, to: &'a str) -> Option<&'a str> {
        match to.strip_prefix('@') {
            None => Some(to),
            Some(alias) => self.aliases.get(alias).map(String::as_str),
        }
    }

    /// The text of the file.
    ///
    /// # Errors
    /// It cannot be written as JSON: a defect.
    pub(crate) fn to_text(&self) -> Result<String, String> {
        let mut text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        text.push('\n');
        Ok(text)
    }

    /// Writes the file: whole or not at all.
    ///
    /// # Errors
    /// Why it could not be written.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), String> {
        let text = self.to_text()?;
        let path = folder.join(ROUTING);
        cvm::repository::replace_file(&path, text.as_bytes()).map_err(|error| error.message)
    }

    /// The version of the alias `champion`.
    pub(crate) fn champion(&self) -> Option<&str> {
        self.aliases.get(CHAMPION).map(String::as_str)
    }

    /// What points at a version, for messages.
    pub(crate) fn uses_of(&self, version: &str) -> Vec<String> {
        let aliases = self.aliases.iter().filter(|(_, own)| *own == version);
        let aliases = aliases.map(|(alias, _)| format!("@{alias}"));
        let in_split = self.split.shares.iter().any(|share| share.to == version);
        let in_shadows = self.shadows.iter().any(|to| to == version);
        let others = [(in_split, "the split"), (in_shadows, "the shadows")];
        let others = others.into_iter().filter(|(is, _)| *is);
        aliases
            .chain(others.map(|(_, what)| what.to_owned()))
            .collect()
    }

    /// Whatever points at versions that are not `loaded`, in words.
    pub(crate) fn dangling(&self, loaded: impl Fn(&str) -> bool) -> Vec<String> {
        let aliases = self.aliases.iter().filter(|(_, own)| !loaded(own));
        let aliases = aliases
            .map(|(alias, version)| format!("@{alias} points at {version}, which is not loaded"));
        let lost = |to: &&String| !self.target(to).is_some_and(&loaded);
        let shares = self.split.shares.iter().map(|share| &share.to);
        let shares = shares.filter(lost).map(|to| ("the split", to));
        let shadows = self
            .shadows
            .iter()
            .filter(lost)
            .map(|to| ("the shadows", to));
        let others = shares.chain(shadows);
        let others = others.map(|(what, to)| format!("{what} point at {to}, which is not loaded"));
        aliases.chain(others).collect()
    }

    /// The same without what points at versions that are not `loaded`.
    pub(crate) fn only(&self, loaded: impl Fn(&str) -> bool) -> Routing {
        let mut kept = self.clone();
        kept.aliases.retain(|_, version| loaded(version));
        let aliases = kept.clone();
        let there = |to: &str| aliases.target(to).is_some_and(&loaded);
        // A share that is gone would give its customers to others: without one there is no split.
        if !kept.split.shares.iter().all(|share| there(&share.to)) {
            kept.split = Split::default();
        }
        kept.shadows.retain(|to| there(to));
        kept
    }

    /// The routing after a change.
    ///
    /// # Errors
    /// What cannot be.
    pub(crate) fn changed(&self, change: &Change) -> Result<Routing, String> {
        let mut next = self.clone();
        match change {
            Change::SetAlias { alias, version } => next.point(alias, version),
            Change::DeleteAlias { alias } if alias == CHAMPION => {
                return Err("a model has a champion: point it elsewhere".to_owned());
            }
            Change::DeleteAlias { alias } => {
                let had = next.aliases.remove(alias);
                had.ok_or_else(|| format!("there is no alias {alias}"))?;
            }
            Change::Rollback => {
                let previous = next.aliases.get(PREVIOUS).cloned();
                let previous = previous.ok_or("there is no previous version to go back to")?;
                next.point(CHAMPION, &previous);
            }
            Change::SetSplit(split) => next.split = split.clone(),
            Change::SetShadows(shadows) => next.shadows = shadows.clone(),
        }
        next.check()?;
        Ok(next)
    }

    fn point(&mut self, alias: &str, version: &str) {
        let before = self.aliases.insert(alias.to_owned(), version.to_owned());
        let moved = before.filter(|before| alias == CHAMPION && before != version);
        if let Some(before) = moved {
            self.aliases.insert(PREVIOUS.to_owned(), before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, Routing};

    fn set(alias: &str, version: &str) -> Change {
        let (alias, version) = (alias.to_owned(), version.to_owned());
        Change::SetAlias { alias, version }
    }

    #[test]
    fn a_moved_champion_can_be_rolled_back_and_forth() {
        let first = Routing::default().changed(&set("champion", "1")).unwrap();
        assert!(first.changed(&Change::Rollback).is_err());
        assert_eq!(first.changed(&set("champion", "1")).unwrap(), first);
        let second = first.changed(&set("champion", "2")).unwrap();
        assert_eq!(second.aliases["previous"], "1");
        let back = second.changed(&Change::Rollback).unwrap();
        assert_eq!(
            (back.champion(), back.aliases["previous"].as_str()),
            (Some("1"), "2")
        );
        assert_eq!(back.changed(&Change::Rollback).unwrap(), second);
    }

    #[test]
    fn what_points_nowhere_is_told_and_can_be_left_out() {
        let routing = Routing::default().changed(&set("champion", "1")).unwrap();
        let routing = routing.changed(&set("challenger", "2")).unwrap();
        assert_eq!(routing.uses_of("2"), ["@challenger"]);
        let loaded = |version: &str| version == "1";
        assert_eq!(routing.dangling(loaded).len(), 1);
        let rest = routing.only(loaded);
        assert_eq!((rest.champion(), rest.aliases.len()), (Some("1"), 1));
        let text = r#"{"aliases": {"champion": "1", "challenger": "2"}, "shadows": ["@challenger"],
            "split": {"shares": [{"to": "1", "weight": 9}, {"to": "@challenger", "weight": 1}]}}"#;
        let routing = Routing::parse(text).unwrap();
        assert_eq!(routing.dangling(loaded).len(), 3);
        assert_eq!(routing.uses_of("1"), ["@champion", "the split"]);
        let rest = routing.only(loaded);
        assert!(rest.shadows.is_empty() && rest.split.shares.is_empty());
        assert!(routing.dangling(|_| true).is_empty());
    }

    #[test]
    fn names_are_checked_wherever_they_come_from() {
        for text in [
            r#"{"aliases": {"Champion": "1"}}"#,
            r#"{"aliases": {"champion": "a/b"}}"#,
            r#"{"alias": {}}"#,
            r#"{"split": {"shares": [{"to": "1", "weight": 0}]}}"#,
            r#"{"split": {"shares": [{"to": "1", "weight": -1}]}}"#,
            r#"{"split": {"shares": [{"to": "@A", "weight": 1}]}}"#,
            r#"{"shadows": ["a b"]}"#,
            r#"{"shadows": ["1", "2", "3", "4", "5"]}"#,
            "3",
            "",
        ] {
            assert!(Routing::parse(text).is_err(), "{text}");
        }
        let routing = Routing::default();
        assert!(routing.changed(&set("a b", "1")).is_err());
        assert!(routing.changed(&set("a", "")).is_err());
        let gone = |alias: &str| Change::DeleteAlias {
            alias: alias.to_owned(),
        };
        assert!(routing.changed(&gone("champion")).is_err());
        assert!(routing.changed(&gone("challenger")).is_err());
    }
}
