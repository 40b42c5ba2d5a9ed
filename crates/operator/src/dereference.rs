//! What a monitor reads of Secrets and ConfigMaps. Values are hashed and forgotten at once.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::api::{Error, Kubernetes};
use crate::context::hash;
use crate::kinds::{CONFIG_MAP, Kind, SECRET};
use crate::references::Reference;
use crate::role::Role;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dereferenced {
    /// A hash of what each role reads, for [`crate::Inputs::references`].
    pub hashes: BTreeMap<Role, String>,
    /// What is needed and not there, each as a sentence.
    pub missing: Vec<String>,
    /// Roles that need something of it.
    pub lacking: BTreeSet<Role>,
}

fn kind(reference: &Reference) -> Kind {
    if reference.config_map { CONFIG_MAP } else { SECRET }
}

/// Reads what the roles need, each object once.
///
/// # Errors
/// When the API does not answer or refuses; what is missing is no error.
pub async fn dereference(
    api: &Kubernetes,
    namespace: &str,
    needed: &BTreeMap<Role, BTreeSet<Reference>>,
) -> Result<Dereferenced, Error> {
    let mut objects: BTreeMap<(bool, &str), Option<Value>> = BTreeMap::new();
    for reference in needed.values().flatten() {
        let key = (reference.config_map, reference.name.as_str());
        if let Entry::Vacant(place) = objects.entry(key) {
            place.insert(api.get(namespace, kind(reference), &reference.name).await?);
        }
    }
    Ok(found(needed, |reference| {
        let object = objects.get(&(reference.config_map, reference.name.as_str()))?.as_ref()?;
        Some(object["data"][&reference.key].as_str().map(str::to_owned))
    }))
}

/// Judges what was found; `value` tells nothing where there is no such object.
fn found(
    needed: &BTreeMap<Role, BTreeSet<Reference>>,
    value: impl Fn(&Reference) -> Option<Option<String>>,
) -> Dereferenced {
    let mut out = Dereferenced::default();
    let mut missing = BTreeSet::new();
    for (role, references) in needed {
        let mut texts = Vec::new();
        for reference in references {
            let Reference { name, key, optional, .. } = reference;
            let (kind, there) = (kind(reference).kind, value(reference));
            match there {
                Some(Some(value)) => texts.extend([kind.to_owned(), name.clone(), key.clone(), value]),
                // The page's and the workers' needs; what only the end needs is asked for at the end.
                _ if *optional || *role == Role::Teardown => {}
                there => {
                    out.lacking.insert(*role);
                    missing.insert(match there {
                        Some(_) => format!("the {kind} `{name}` has no key `{key}`"),
                        None => format!("the {kind} `{name}` is missing (key `{key}`)"),
                    });
                }
            }
        }
        out.hashes.insert(*role, hash(texts));
    }
    out.missing = missing.into_iter().collect();
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needed() -> BTreeMap<Role, BTreeSet<Reference>> {
        let secret = |name: &str, optional| Reference {
            config_map: false,
            name: name.to_owned(),
            key: "k".to_owned(),
            optional,
        };
        [
            (Role::Storage, BTreeSet::from([secret("db", false)])),
            (Role::Alert, BTreeSet::from([secret("db", false), secret("discord", true)])),
        ]
        .into()
    }

    #[test]
    fn a_changed_value_changes_the_hash_of_the_roles_that_read_it_and_of_no_other() {
        let with = |discord: &'static str| {
            found(&needed(), move |reference| {
                Some(Some(if reference.name == "discord" { discord } else { "x" }.to_owned()))
            })
        };
        let (before, after) = (with("a"), with("b"));
        assert_eq!(before.hashes[&Role::Storage], after.hashes[&Role::Storage]);
        assert_ne!(before.hashes[&Role::Alert], after.hashes[&Role::Alert]);
        assert!(!format!("{before:?}").contains("\"a\""));
    }

    #[test]
    fn what_is_missing_is_named_once_and_what_is_optional_is_not() {
        assert_eq!(found(&needed(), |_| None).missing, ["the Secret `db` is missing (key `k`)"]);
        assert_eq!(found(&needed(), |_| Some(None)).missing, ["the Secret `db` has no key `k`"]);
    }
}
