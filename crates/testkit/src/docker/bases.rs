//! Base images, made of this machine's files: Debian by debootstrap, the same with Rust's tools, and a few libraries
//! without a shell, as a distroless image has them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sha2::{Digest as _, Sha256};

use super::Engine;
use crate::process::Process;
use crate::provisioned::DOCKER;

/// Some hundred megabytes are copied.
const COPY: Duration = Duration::from_secs(5 * 60);
/// Authorities that this machine trusts; those of its own network among them.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Where the tools are in the image.
const TOOLS: &str = "/usr/local/rust";
/// What the program is linked to, and whoever it runs as, but no shell.
const RUNTIME: &str = r#"
FROM debian-base AS debian
RUN set -eu; out=/out; mkdir -p $out/usr/lib $out/usr/lib64 $out/etc/ssl/certs $out/tmp; \
    chmod 1777 $out/tmp; ln -s usr/lib $out/lib; ln -s usr/lib64 $out/lib64; \
    for library in libc.so.6 libm.so.6 libgcc_s.so.1 libresolv.so.2; do \
        file=$(find /usr/lib -name $library); mkdir -p $out$(dirname $file); cp -L $file $out$file; done; \
    for loader in /lib64/ld-linux-*.so.* /lib/ld-linux-*.so.*; do \
        [ ! -e $loader ] || cp -L $loader $out/usr$loader; done; \
    cp /etc/ssl/certs/ca-certificates.crt $out/etc/ssl/certs/; \
    echo 'nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin' >$out/etc/passwd; \
    echo 'nonroot:x:65532:' >$out/etc/group; echo 'hosts: files dns' >$out/etc/nsswitch.conf
FROM scratch
COPY --from=debian /out /
"#;

impl Engine {
    /// Debian, with a compiler, Java and BusyBox; its name.
    pub(super) fn debian(&self) -> Result<String> {
        let image = format!("pricemonitor-test/debian:{}", tag(&[DOCKER.recipe.as_bytes()]));
        if !self.has(&image)? {
            let archive = DOCKER.provided()?.join("debian.tar");
            let archive = archive.to_str().context("the cache folder is no text")?;
            self.client(["import", archive, &image]).run(COPY)?;
        }
        Ok(image)
    }

    /// The same with this machine's Rust, the authorities that it trusts, and how its Cargo finds packages.
    pub(super) fn rust(&self) -> Result<String> {
        let debian = self.debian()?;
        let (version, sysroot) = (told("rustc", &["-vV"])?, told("rustc", &["--print", "sysroot"])?);
        let (sysroot, settings) = (PathBuf::from(sysroot.trim()), settings());
        let variables = variables();
        let authorities = fs::read(AUTHORITIES).unwrap_or_default();
        let written = settings.as_ref().map(fs::read).transpose()?.unwrap_or_default();
        let set = variables.join("\n");
        let parts = [debian.as_bytes(), version.as_bytes(), &authorities, &written, set.as_bytes()];
        let image = format!("pricemonitor-test/rust:{}", tag(&parts));
        if self.has(&image)? {
            return Ok(image);
        }
        let container = self.docker(["create", "--network=host", &debian, "true"])?;
        let container = container.trim();
        let copy = |from: &Path, to: &str| {
            let from = from.to_str().context("a path is no text")?;
            self.client(["cp", from, &format!("{container}:{to}")]).run(COPY).map(drop)
        };
        let place = self.place.at("rust");
        fs::create_dir_all(place.join("bin"))?;
        fs::create_dir_all(place.join("cargo"))?;
        for tool in ["cargo", "rustc"] {
            fs::copy(sysroot.join("bin").join(tool), place.join("bin").join(tool))
                .with_context(|| format!("copying {tool}"))?;
        }
        settings.map(|file| fs::copy(file, place.join("cargo/config.toml"))).transpose()?;
        copy(&place, TOOLS)?;
        copy(&sysroot.join("lib"), TOOLS)?;
        if !authorities.is_empty() {
            copy(Path::new(AUTHORITIES), AUTHORITIES)?;
        }
        let path =
            format!("ENV PATH={TOOLS}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        let mut commit = vec!["commit".to_owned(), "--change".to_owned(), path];
        commit.extend(["--change".to_owned(), format!("ENV CARGO_HOME={TOOLS}/cargo")]);
        for variable in variables {
            commit.extend(["--change".to_owned(), format!("ENV {variable}")]);
        }
        commit.extend([container.to_owned(), image.clone()]);
        self.client(commit).run(COPY)?;
        self.docker(["rm", container])?;
        Ok(image)
    }

    /// A few libraries.
    pub(super) fn runtime(&self) -> Result<String> {
        let debian = self.debian()?;
        let image = format!("pricemonitor-test/runtime:{}", tag(&[debian.as_bytes(), RUNTIME.as_bytes()]));
        if !self.has(&image)? {
            let text = RUNTIME.replace("debian-base", &debian);
            self.place.write("runtime/Dockerfile", text)?;
            self.make(&image, &self.place.at("runtime"))?;
        }
        Ok(image)
    }

    /// Builds what the Dockerfile in `folder` says.
    pub(super) fn make(&self, image: &str, folder: &Path) -> Result<()> {
        let words = ["build", "--quiet", "--network=host", "--tag", image, "."];
        self.client(words).within(folder).run(COPY).map(drop)
    }

    /// Whether an image is there.
    pub(super) fn has(&self, image: &str) -> Result<bool> {
        Ok(!self.docker(["images", "--quiet", image])?.trim().is_empty())
    }
}

/// Names what `parts` make: the same for the same, on one machine.
pub(super) fn tag(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// How this machine's Cargo is set, where somebody did.
fn settings() -> Option<PathBuf> {
    let named = |name: &str| env::var_os(name).map(PathBuf::from);
    let home = named("CARGO_HOME").or_else(|| Some(named("HOME")?.join(".cargo")))?;
    ["config.toml", "config"].map(|name| home.join(name)).into_iter().find(|path| path.is_file())
}

/// The same by variables, and how this machine reaches others.
fn variables() -> Vec<String> {
    let wanted = |name: &str| {
        ["CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR", "CARGO_SOURCE_"].iter().any(|it| name.starts_with(it))
            || ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE"]
                .iter()
                .any(|it| name.eq_ignore_ascii_case(it))
    };
    let mut found: Vec<String> = env::vars()
        .filter(|(name, _)| wanted(name))
        .map(|(name, value)| format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")))
        .collect();
    found.sort();
    found
}

fn told(program: &str, arguments: &[&str]) -> Result<String> {
    let finished = Process::start(Command::new(program).args(arguments))?.wait(Duration::from_secs(60))?;
    if !finished.status.success() {
        bail!("{program} {} failed:\n{}", arguments.join(" "), finished.output.all());
    }
    Ok(finished.output.stdout)
}
