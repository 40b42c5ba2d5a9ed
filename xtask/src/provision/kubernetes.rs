//! A Kubernetes control plane and what goes with it: etcd, Kubernetes itself with KWOK, Helm.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::cache;
use super::go::Build;
use super::provisioned::{DEFINITIONS, ETCD, HELM, KUBE, KUBE_PROGRAMS, KWOK_STAGES, Program};
use crate::run;

/// Our module, which links Kubernetes' programs into one: its files and what they hold.
pub(super) const MODULE: [(&str, &str); 5] = [
    ("main.go", include_str!("../../kube/main.go")),
    ("node/main.go", include_str!("../../kube/node/main.go")),
    ("pause/main.go", include_str!("../../kube/pause/main.go")),
    ("go.mod", include_str!("../../kube/go.mod")),
    ("go.sum", include_str!("../../kube/go.sum")),
];
/// The behaviours that KWOK gives nodes and pods, within its module: without any it does not start.
const STAGES: [&str; 5] = [
    "node/fast/node-initialize",
    "node/heartbeat-with-lease/node-heartbeat-with-lease",
    "pod/fast/pod-ready",
    "pod/fast/pod-complete",
    "pod/fast/pod-delete",
];

/// Modules with definitions of resources that our operator makes, and the files within.
const FOREIGN: [(&str, &str, &[&str]); 2] = [
    (
        "github.com/kedacore/keda/v2",
        "v2.21.0",
        &[
            "config/crd/bases/keda.sh_scaledobjects.yaml",
            "config/crd/bases/keda.sh_triggerauthentications.yaml",
        ],
    ),
    (
        "github.com/prometheus-operator/prometheus-operator",
        "v0.85.0",
        &[
            "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
            "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
            "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
        ],
    ),
];

/// Makes sure that there is an etcd that starts.
///
/// # Errors
/// When there is no Go, or it cannot fetch or compile; the same for the others here.
pub(crate) fn etcd() -> Result<bool> {
    published(&ETCD, "go.etcd.io/etcd/server/v3")?;
    starts(&ETCD, "etcd", &["--version"])
}

/// Makes sure that there is a Helm that starts.
///
/// # Errors
/// As for [`etcd`].
pub(crate) fn helm() -> Result<bool> {
    published(&HELM, "helm.sh/helm/v4/cmd/helm")?;
    starts(&HELM, "helm", &["version"])
}

/// Makes sure that there are Kubernetes' programs, one file with a link for each, and KWOK's stages.
///
/// # Errors
/// As for [`etcd`].
pub(crate) fn kube() -> Result<bool> {
    cache::fill(&KUBE, |folder| {
        let bin = folder.join("bin");
        let build = Build::new(folder, &MODULE)?;
        build.build(".", &versions(KUBE.version)?, &bin.join("kube"))?;
        for name in KUBE_PROGRAMS {
            symlink("kube", bin.join(name)).with_context(|| format!("linking {name}"))?;
        }
        stages(&build.source("sigs.k8s.io/kwok")?, &folder.join(KWOK_STAGES))?;
        build.remove()
    })?;
    starts(&KUBE, "kube-apiserver", &["--version"])
}

/// Makes sure that there are the definitions of other people's resources.
///
/// # Errors
/// As for [`etcd`].
pub(crate) fn definitions() -> Result<bool> {
    cache::fill(&DEFINITIONS, |folder| {
        let build = Build::new(folder, &[])?;
        let mut found = Vec::new();
        for (module, version, files) in FOREIGN {
            let source = build.fetch(module, version)?;
            found.extend(files.iter().map(|file| source.join(file)));
        }
        gather(&found, &folder.join("definitions.yaml"))?;
        build.remove()
    })?;
    Ok(true)
}

/// Copies the stages out of KWOK's module.
fn stages(module: &Path, into: &Path) -> Result<()> {
    let folder = module.join("kustomize/stage");
    gather(&STAGES.map(|stage| folder.join(stage).with_extension("yaml")), into)
}

/// Copies files of YAML into one, as its documents.
fn gather(files: &[PathBuf], into: &Path) -> Result<()> {
    let mut all = String::new();
    for file in files {
        all += "---\n";
        all += &fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    }
    fs::write(into, all).with_context(|| format!("writing {}", into.display()))
}

/// Builds the one program of a published package.
fn published(program: &Program, package: &str) -> Result<()> {
    cache::fill(program, |folder| {
        let build = Build::new(folder, &[])?;
        let version = format!("v{}", program.version);
        build.published(&version, &[(package, folder.join("bin").join(program.name))])?;
        build.remove()
    })
}

/// What upstream's own build tells the linker: without it the server calls itself v0.0.0.
pub(super) fn versions(version: &str) -> Result<String> {
    let mut parts = version.split('.');
    let (Some(major), Some(minor)) = (parts.next(), parts.next()) else {
        bail!("the version of Kubernetes is `{version}`: write it as major.minor.patch");
    };
    let flags = |package: &str| {
        format!(
            "-X {package}.gitVersion=v{version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
        )
    };
    Ok(format!("{} {}", flags("k8s.io/component-base/version"), flags("k8s.io/client-go/pkg/version")))
}

pub(super) fn starts(program: &Program, name: &str, arguments: &[&str]) -> Result<bool> {
    let file = program.folder()?.join("bin").join(name);
    run::stream(Command::new(&file).args(arguments), Duration::from_secs(30))
        .with_context(|| format!("{} does not start", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linker_is_told_the_version_in_both_places() {
        let flags = versions("1.37.2").unwrap();
        assert!(flags.contains("-X k8s.io/component-base/version.gitVersion=v1.37.2 "));
        assert!(flags.ends_with("-X k8s.io/client-go/pkg/version.gitMinor=37"));
        assert!(versions("1").is_err());
    }

    #[test]
    fn the_module_asks_for_the_versions_that_the_recipe_names() {
        let asks = |module: &str| {
            let (_, text) = MODULE.iter().find(|(name, _)| *name == "go.mod").unwrap();
            let line = text.lines().find_map(|line| line.trim().strip_prefix(module));
            line.and_then(|version| version.strip_prefix(" v")).unwrap_or_default()
        };
        assert_eq!(asks("k8s.io/kubernetes"), KUBE.version);
        let recipe = format!(
            "kubernetes {}, kwok {} with {} stages",
            KUBE.version,
            asks("sigs.k8s.io/kwok"),
            STAGES.len()
        );
        assert!(KUBE.recipe.starts_with(&recipe), "{recipe}");
    }

    #[test]
    fn the_recipe_of_the_definitions_names_their_versions() {
        for (module, version, _) in FOREIGN {
            let name = module.trim_end_matches("/v2").rsplit('/').next().unwrap();
            let named = format!("{name} {}", version.trim_start_matches('v'));
            assert!(DEFINITIONS.recipe.contains(&named), "{named}");
        }
    }

    #[test]
    fn every_link_is_a_program_that_the_module_knows() {
        for name in KUBE_PROGRAMS {
            assert!(MODULE[0].1.contains(&format!("\"{name}\"")), "{name}");
        }
    }
}
