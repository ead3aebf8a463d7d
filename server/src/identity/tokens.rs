//! Bearer tokens: a file of their SHA-256 digests, with the caller's name, roles and expiry.
//!
//! ```toml
//! [[token]]
//! name = "billing"
//! sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
//! roles = ["read", "score"]
//! expires = "2027-01-01T00:00:00Z"
//! ```
//!
//! The file holds no token: whoever reads it cannot call. Tokens must be random, so a digest without
//! salt gives nothing away, and comparing digests takes no secret time.

use super::{Caller, Role};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Callers by the digest of their token.
#[derive(Debug, Default)]
pub(crate) struct Tokens(HashMap<[u8; 32], Arc<Caller>>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    token: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    sha256: String,
    roles: Vec<Role>,
    expires: Option<toml::value::Datetime>,
}

impl Tokens {
    /// # Errors
    /// The file cannot be read, or what is wrong in it.
    pub(crate) fn read(path: &Path) -> Result<Tokens, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Tokens::parse(&text).map_err(|why| format!("{}: {why}", path.display()))
    }

    fn parse(text: &str) -> Result<Tokens, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut callers = HashMap::with_capacity(file.token.len());
        for entry in file.token {
            let name = entry.name;
            let digest = digest(&entry.sha256)
                .ok_or_else(|| format!("token `{name}`: sha256 must be 64 hexadecimal digits"))?;
            let expires = entry.expires.map(|time| seconds(&name, time)).transpose()?;
            let caller = Caller {
                name: name.clone(),
                roles: entry.roles,
                expires,
            };
            if let Some(other) = callers.insert(digest, Arc::new(caller)) {
                return Err(format!("tokens `{}` and `{name}` are the same", other.name));
            }
        }
        Ok(Tokens(callers))
    }

    /// The caller with a token.
    pub(crate) fn caller(&self, token: &str, now_seconds: i64) -> Option<Arc<Caller>> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        let caller = self.0.get(&digest)?;
        caller.is_in_time(now_seconds).then(|| Arc::clone(caller))
    }
}

fn digest(hex: &str) -> Option<[u8; 32]> {
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    if pairs.len() != 32 || !rest.is_empty() {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(pairs) {
        let text = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(text, 16).ok()?;
    }
    Some(digest)
}

/// An expiry as seconds since 1970; it must be a full instant.
fn seconds(name: &str, time: toml::value::Datetime) -> Result<i64, String> {
    let wrong = || {
        format!(
            "token `{name}`: expires is {time}: must be an instant such as 2027-01-01T00:00:00Z"
        )
    };
    let (Some(date), Some(clock), Some(offset)) = (time.date, time.time, time.offset) else {
        return Err(wrong());
    };
    let minutes = match offset {
        toml::value::Offset::Z => 0,
        toml::value::Offset::Custom { minutes } => i64::from(minutes),
    };
    let days = days_from_epoch(
        i64::from(date.year),
        i64::from(date.month),
        i64::from(date.day),
    );
    let second = i64::from(clock.second.unwrap_or(0));
    let minute = i64::from(clock.hour) * 60 + i64::from(clock.minute) - minutes;
    Ok(days * 86_400 + minute * 60 + second)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar: years counted from March, so that the
/// leap day is the last of its year.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = match month {
        1 | 2 => (year - 1, month + 9),
        _ => (year, month - 3),
    };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leaps + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::{Tokens, days_from_epoch};
    use crate::identity::Role;

    /// SHA-256 of `test`.
    const TEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    fn file(rest: &str) -> String {
        format!("[[token]]\nname = \"billing\"\nsha256 = \"{TEST}\"\nroles = [\"score\"]\n{rest}")
    }

    #[test]
    fn a_token_is_known_by_its_digest() {
        let tokens = Tokens::parse(&file("")).unwrap();
        let caller = tokens.caller("test", 0).unwrap();
        assert_eq!(caller.name, "billing");
        assert!(caller.may(Role::Score) && !caller.may(Role::Admin));
        for wrong in ["tes", "test ", "", TEST] {
            assert!(tokens.caller(wrong, 0).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_token_ends_when_it_expires() {
        let tokens = Tokens::parse(&file("expires = 2001-09-09T03:46:40+02:00\n")).unwrap();
        for (now, known) in [(999_999_999, true), (1_000_000_000, false)] {
            assert_eq!(tokens.caller("test", now).is_some(), known, "{now}");
        }
    }

    #[test]
    fn a_wrong_file_says_what_is_wrong() {
        for (text, why) in [
            (file("expires = 2027-01-01\n"), "must be an instant"),
            (file("").replace(TEST, "abc"), "64 hexadecimal digits"),
            (file("").replace("score", "root"), "root"),
            (file("colour = 1\n"), "colour"),
            (file(&file("")), "are the same"),
        ] {
            let error = Tokens::parse(&text).unwrap_err();
            assert!(error.contains(why), "{why}: {error}");
        }
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (date, days) in [
            ((1970, 1, 1), 0),
            ((2000, 2, 29), 11_016),
            ((2000, 3, 1), 11_017),
            ((2026, 11, 27), 20_784),
            ((1900, 3, 1), -25_508),
        ] {
            assert_eq!(days_from_epoch(date.0, date.1, date.2), days, "{date:?}");
        }
    }
}
