//! Secrets by reference.
//!
//! A manifest never holds a secret, only where to find one: `secretKeyRef: {name, key}` means the
//! file `<secrets dir>/<name>/<key>`, which is how a cluster mounts it; on a laptop the environment
//! variable `PRICEMONITOR_SECRET_<NAME>_<KEY>` serves as well.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::{ConfigMapRef, ObjectRef, patterns};

/// A value that is kept in a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretValue {
    /// Where it is.
    pub secret_key_ref: SecretRef,
}

/// One key of one Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Name of the Secret: lower-case letters, digits, `-` and `.`.
    #[schemars(regex(pattern = patterns::OBJECT), length(min = 1, max = 253))]
    pub name: String,
    /// Key in the Secret: letters, digits, `-`, `_` and `.`.
    #[schemars(regex(pattern = patterns::KEY), length(min = 1, max = 253))]
    pub key: String,
}

impl SecretRef {
    /// A key of a Secret that a manifest names as a whole.
    pub fn of(secret: &ObjectRef, key: &str) -> SecretRef {
        SecretRef { name: secret.name.clone(), key: key.to_owned() }
    }
}

/// Whether `name` can be the name of a Secret (or a ConfigMap): lower-case letters, digits, `-` and
/// `.`, with a letter or digit at both ends and no two points in a row. No such name leaves a
/// folder.
pub fn valid_name(name: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    let bytes = name.as_bytes();
    let edges = edge(bytes.first()) && edge(bytes.last());
    edges && name.len() <= 253 && name.bytes().all(inside) && !name.contains("..")
}

/// Whether `key` can be a key in a Secret: letters, digits, `-`, `_` and `.`, not starting with two
/// points (so mounts of Kubernetes start, and so does the way out of a folder).
pub fn valid_key(key: &str) -> bool {
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=253).contains(&key.len()) && key.bytes().all(known) && key != "." && !key.starts_with("..")
}

/// A secret's text. Its `Debug` and `Display` show no part of it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretString(String);

impl SecretString {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        SecretString(text.into())
    }

    /// The text itself. Whoever calls this keeps it out of logs, errors and metrics.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl fmt::Display for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Where secrets are found. The environment is handed over by the program's argument parsing;
/// nothing here reads it.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// Folder with one folder for each Secret.
    pub dir: Option<PathBuf>,
    /// Variables named `PRICEMONITOR_SECRET_<NAME>_<KEY>`.
    pub variables: HashMap<String, SecretString>,
}

/// Most bytes of a secret: what Kubernetes allows.
const MAX_BYTES: u64 = 1024 * 1024;

/// A secret could not be had. Names the place, never the content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Neither file nor variable is there.
    #[error("secret `{name}` has no key `{key}`: put it into {remedy}")]
    Missing {
        /// Name of the Secret.
        name: String,
        /// Key in the Secret.
        key: String,
        /// Where it would be found.
        remedy: String,
    },
    /// It does not name a secret: it could lead out of the folder.
    #[error("`{name}`, key `{key}` cannot be a secret: use letters, digits, `-` and `.`")]
    Name {
        /// What stands for the name.
        name: String,
        /// What stands for the key.
        key: String,
    },
    /// It is there but cannot be read.
    #[error("secret `{name}`, key `{key}` cannot be read: {why}")]
    Unreadable {
        /// Name of the Secret.
        name: String,
        /// Key in the Secret.
        key: String,
        /// The reason.
        why: String,
    },
}

impl Secrets {
    /// The text of a key of a ConfigMap: the file `<secrets dir>/_configmaps/<name>/<key>`. No Secret is called
    /// so, as names have no `_`.
    ///
    /// # Errors
    /// As for [`Secrets::resolve`].
    pub fn config_map(&self, reference: &ConfigMapRef) -> Result<String, SecretError> {
        let ConfigMapRef { name, key } = reference;
        if !valid_name(name) || !valid_key(key) {
            let shown = |text: &str| crate::nearest::shown(text);
            return Err(SecretError::Name { name: shown(name), key: shown(key) });
        }
        let missing = |remedy| SecretError::Missing { name: name.clone(), key: key.clone(), remedy };
        let Some(dir) = &self.dir else {
            return Err(missing("a folder that --secrets-dir names, below `_configmaps`".to_owned()));
        };
        let path = dir.join("_configmaps").join(name).join(key);
        match read(&path) {
            Ok(text) => Ok(text.0),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(missing(format!("the file {}", path.display())))
            }
            Err(error) => {
                let why = format!("{}: {error}", path.display());
                Err(SecretError::Unreadable { name: name.clone(), key: key.clone(), why })
            }
        }
    }

    /// The text behind a reference, without trailing line ends. The file comes before the variable.
    ///
    /// # Errors
    /// [`SecretError`] names where it was looked for, never a content.
    pub fn resolve(&self, reference: &SecretRef) -> Result<SecretString, SecretError> {
        let SecretRef { name, key } = reference;
        if !valid_name(name) || !valid_key(key) {
            let shown = |text: &str| crate::nearest::shown(text);
            return Err(SecretError::Name { name: shown(name), key: shown(key) });
        }
        let variable = variable_name(name, key);
        if let Some(dir) = &self.dir {
            let path = dir.join(name).join(key);
            match read(&path) {
                Ok(text) => return Ok(text),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    let why = format!("{}: {error}", path.display());
                    return Err(SecretError::Unreadable { name: name.clone(), key: key.clone(), why });
                }
            }
        }
        if let Some(value) = self.variables.get(&variable) {
            return Ok(value.clone());
        }
        let remedy = match &self.dir {
            Some(dir) => {
                format!("the file {} or the variable {variable}", dir.join(name).join(key).display())
            }
            None => format!("the variable {variable}, or name a folder with --secrets-dir"),
        };
        Err(SecretError::Missing { name: name.clone(), key: key.clone(), remedy })
    }
}

/// A secret's file, without trailing line ends. An empty one is a secret that somebody forgot.
fn read(path: &Path) -> io::Result<SecretString> {
    let mut text = String::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    let refuse = |why: &str| Err(io::Error::new(ErrorKind::InvalidData, why));
    if text.len() as u64 > MAX_BYTES {
        return refuse("it has more than 1 MiB");
    }
    match text.trim_end_matches(['\r', '\n']) {
        "" => refuse("it is empty"),
        text => Ok(SecretString::new(text)),
    }
}

/// `PRICEMONITOR_SECRET_<NAME>_<KEY>`: upper case, every other character as `_`.
pub fn variable_name(name: &str, key: &str) -> String {
    let tail = format!("{name}_{key}");
    let tail: String =
        tail.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    format!("PRICEMONITOR_SECRET_{tail}")
}

#[cfg(test)]
mod tests;
