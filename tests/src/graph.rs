//! The dependency graph of the workspace, from `cargo metadata`.

use crate::root;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// A dependency as a manifest declares it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Declared {
    /// Package depended on.
    pub name: String,
    /// `normal`, `dev` or `build`.
    pub kind: String,
}

/// Packages and edges.
#[derive(Debug)]
pub struct Graph {
    /// Declared dependencies of each workspace package.
    pub declared: BTreeMap<String, Vec<Declared>>,
    /// Resolved normal edges: package id to package ids.
    normal: BTreeMap<String, Vec<String>>,
    /// Package id to name.
    names: BTreeMap<String, String>,
}

impl Graph {
    /// Asks cargo, without the network if the packages of this host are present.
    ///
    /// # Errors
    /// What cargo said, or what was odd about its answer.
    pub fn load() -> Result<Graph, String> {
        let text = metadata()?;
        let value: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        Graph::parse(&value).ok_or_else(|| "cargo metadata has an unknown shape".to_owned())
    }

    fn parse(value: &Value) -> Option<Graph> {
        let members: BTreeSet<&str> = strings(value.get("workspace_members")?)?;
        let mut names = BTreeMap::new();
        let mut declared = BTreeMap::new();
        for package in value.get("packages")?.as_array()? {
            let id = package.get("id")?.as_str()?;
            let name = package.get("name")?.as_str()?;
            names.insert(id.to_owned(), name.to_owned());
            if members.contains(id) {
                declared.insert(name.to_owned(), declared_of(package)?);
            }
        }
        let mut normal = BTreeMap::new();
        for node in value.get("resolve")?.get("nodes")?.as_array()? {
            let id = node.get("id")?.as_str()?.to_owned();
            normal.insert(id, normal_edges(node)?);
        }
        Some(Graph {
            declared,
            normal,
            names,
        })
    }

    /// Names of every package that `name` reaches by normal dependencies, itself included.
    #[must_use]
    pub fn reach(&self, name: &str) -> BTreeSet<&str> {
        let workspace = |id: &&String| self.declared.contains_key(name) && id.contains("path+");
        let start = self
            .names
            .iter()
            .find(|(id, own)| *own == name && workspace(id));
        let mut waiting: Vec<&str> = start.map(|(id, _)| id.as_str()).into_iter().collect();
        let mut seen = BTreeSet::new();
        while let Some(id) = waiting.pop() {
            if seen.insert(id) {
                let next = self.normal.get(id).map(Vec::as_slice).unwrap_or_default();
                waiting.extend(next.iter().map(String::as_str));
            }
        }
        seen.into_iter()
            .filter_map(|id| self.names.get(id).map(String::as_str))
            .collect()
    }

    /// Workspace packages that `name` declares in its manifest, of any kind of dependency.
    #[must_use]
    pub fn workspace_edges(&self, name: &str) -> Vec<&Declared> {
        let all = self
            .declared
            .get(name)
            .map(Vec::as_slice)
            .unwrap_or_default();
        all.iter()
            .filter(|dependency| self.declared.contains_key(&dependency.name))
            .collect()
    }
}

fn declared_of(package: &Value) -> Option<Vec<Declared>> {
    let list = package.get("dependencies")?.as_array()?;
    list.iter()
        .map(|dependency| {
            Some(Declared {
                name: dependency.get("name")?.as_str()?.to_owned(),
                kind: dependency
                    .get("kind")?
                    .as_str()
                    .unwrap_or("normal")
                    .to_owned(),
            })
        })
        .collect()
}

fn normal_edges(node: &Value) -> Option<Vec<String>> {
    let mut edges = Vec::new();
    for dependency in node.get("deps")?.as_array()? {
        let kinds = dependency.get("dep_kinds")?.as_array()?;
        if kinds
            .iter()
            .any(|kind| kind.get("kind") == Some(&Value::Null))
        {
            edges.push(dependency.get("pkg")?.as_str()?.to_owned());
        }
    }
    Some(edges)
}

fn strings(value: &Value) -> Option<BTreeSet<&str>> {
    value.as_array()?.iter().map(Value::as_str).collect()
}

/// Offline for this host first: a machine that built the workspace has just those packages.
fn metadata() -> Result<Vec<u8>, String> {
    let host = host()?;
    let offline = run(&["--locked", "--offline", "--filter-platform", &host]);
    offline.or_else(|_| run(&["--locked"]))
}

fn run(arguments: &[&str]) -> Result<Vec<u8>, String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version", "1"]);
    finish(cargo.args(arguments))
}

fn host() -> Result<String, String> {
    let text = finish(Command::new("rustc").arg("-vV"))?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned)
        .ok_or_else(|| "rustc names no host".to_owned())
}

fn finish(command: &mut Command) -> Result<Vec<u8>, String> {
    let output = command
        .current_dir(root())
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}
