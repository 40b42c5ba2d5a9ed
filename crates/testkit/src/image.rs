//! Images of containers, made without a container engine: an archive in the layout of the Open Container Initiative,
//! which containerd imports.

use std::env::consts::ARCH;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::place::Place;
use crate::process::Process;

/// A few hundred megabytes are copied and archived twice.
const LIMIT: Duration = Duration::from_secs(120);

/// An image of one layer: some files, and what is started.
#[derive(Clone, Debug)]
pub struct Image {
    reference: String,
    files: Vec<(PathBuf, String)>,
    entrypoint: Vec<String>,
    user: String,
}

impl Image {
    /// An empty one of a full name, such as `docker.io/library/x:1`.
    pub fn new(reference: &str) -> Image {
        Image {
            reference: reference.to_owned(),
            files: Vec::new(),
            entrypoint: Vec::new(),
            user: String::new(),
        }
    }

    /// Adds a file of this machine, with the rights that it has here, at a path of the image.
    #[must_use]
    pub fn with_file(mut self, file: &Path, at: &str) -> Image {
        self.files.push((file.to_owned(), at.to_owned()));
        self
    }

    /// Adds a program of this machine and the libraries that it is linked to, which keep their paths, and starts it.
    ///
    /// # Errors
    /// When `ldd` cannot tell its libraries, or one is missing.
    pub fn with_program(self, program: &Path, at: &str) -> Result<Image> {
        let mut image = self.with_file(program, at).entrypoint(&[at]);
        let finished = Process::start(Command::new("ldd").arg(program))?.wait(LIMIT).context("ldd")?;
        if !finished.status.success() {
            bail!("ldd {} failed: {}", program.display(), finished.output.all());
        }
        for library in libraries(&finished.output.stdout)? {
            image = image.with_file(Path::new(&library), &library);
        }
        Ok(image)
    }

    /// What is started.
    #[must_use]
    pub fn entrypoint(mut self, words: &[&str]) -> Image {
        self.entrypoint = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Who it runs as, `uid:gid`, where a pod does not say it; root otherwise.
    #[must_use]
    pub fn user(mut self, user: &str) -> Image {
        user.clone_into(&mut self.user);
        self
    }

    /// Its full name.
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// Writes the archive below `place`; its path.
    ///
    /// # Errors
    /// When a file cannot be read, the disk is full, or `tar` fails.
    pub fn write(&self, place: &Place) -> Result<PathBuf> {
        let work = tempfile::Builder::new().prefix("image-").tempdir_in(place.path())?;
        let (root, layout) = (work.path().join("root"), work.path().join("layout"));
        // Anything may want a place for temporary files; whether it can write is the pod's affair.
        fs::create_dir_all(root.join("tmp"))?;
        for (from, to) in &self.files {
            let to = root.join(to.trim_start_matches('/'));
            to.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::copy(from, &to).with_context(|| format!("copying {}", from.display()))?;
        }
        let blobs = layout.join("blobs/sha256");
        fs::create_dir_all(&blobs)?;
        let layer = work.path().join("layer.tar");
        tar(&root, &layer)?;
        let layer = blob(&blobs, &layer, "application/vnd.oci.image.layer.v1.tar")?;
        let config = json!({
            "architecture": if ARCH == "aarch64" { "arm64" } else { "amd64" }, "os": "linux",
            "config": {"Entrypoint": self.entrypoint, "User": self.user, "WorkingDir": "/",
                       "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
        });
        let document = |content: &Value, kind: &str| {
            let file = work.path().join("document");
            fs::write(&file, content.to_string()).context("writing the image")?;
            blob(&blobs, &file, kind)
        };
        let config = document(&config, "application/vnd.oci.image.config.v1+json")?;
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]});
        let mut manifest = document(&manifest, kind)?;
        manifest["annotations"] = json!({"io.containerd.image.name": self.reference});
        let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                           "manifests": [manifest]});
        fs::write(layout.join("index.json"), index.to_string())?;
        fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#)?;
        let out = work.path().with_extension("tar");
        tar(&layout, &out)?;
        Ok(out)
    }
}

/// Paths in what `ldd` wrote: of a library where it was found, of the loader itself.
fn libraries(told: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for line in told.lines() {
        let path = line.split_once("=> ").map_or(line, |(_, path)| path).trim();
        if path.starts_with("not found") {
            bail!("a library is missing: {}", line.trim());
        }
        // The kernel's own has no path.
        if let Some((path, _)) = path.split_once(" (")
            && path.starts_with('/')
        {
            found.push(path.to_owned());
        }
    }
    Ok(found)
}

/// Puts everything in `folder` into an archive, as root's.
fn tar(folder: &Path, into: &Path) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.args([
        "--create",
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--mtime=@0",
        "--file",
    ]);
    tar.arg(into).arg("--directory").arg(folder).arg(".");
    let finished = Process::start(&mut tar)?.wait(LIMIT).context("tar")?;
    if !finished.status.success() {
        bail!("tar failed: {}", finished.output.all());
    }
    Ok(())
}

/// Moves a file among the blobs; how others refer to it.
fn blob(blobs: &Path, file: &Path, kind: &str) -> Result<Value> {
    let mut hasher = Sha256::new();
    let mut reader = File::open(file)?;
    let mut buffer = vec![0; 1 << 20];
    let mut size = 0_u64;
    loop {
        let read = reader.read(&mut buffer)?;
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else { break };
        hasher.update(part);
        size += u64::try_from(read)?;
    }
    let digest: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    fs::rename(file, blobs.join(&digest)).context("writing the image")?;
    Ok(json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": size}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_read_from_what_ldd_says() {
        let told = "\tlinux-vdso.so.1 (0x00007ffc)\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        assert_eq!(
            libraries(told).unwrap(),
            ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"]
        );
        assert_eq!(libraries("\tstatically linked\n").unwrap(), [""; 0]);
        let error = libraries("\tlibz.so.1 => not found\n").unwrap_err().to_string();
        assert!(error.contains("libz.so.1"), "{error}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn an_archive_holds_what_its_index_refers_to() {
        let place = Place::new().unwrap();
        let file = place.write("hello", "world").unwrap();
        let image = Image::new("x.test/hello:1").with_file(&file, "/bin/hello").entrypoint(&["/bin/hello"]);
        let archive = image.user("65532:65532").write(&place).unwrap();
        let out = place.at("out");
        fs::create_dir_all(&out).unwrap();
        let unpack = |archive: &Path| {
            let mut tar = Command::new("tar");
            assert!(tar.arg("-xf").arg(archive).arg("-C").arg(&out).status().unwrap().success());
        };
        unpack(&archive);
        let read = |path: PathBuf| serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap();
        let at = |descriptor: &Value| {
            let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
            let path = out.join("blobs/sha256").join(digest);
            assert_eq!(fs::metadata(&path).unwrap().len(), descriptor["size"].as_u64().unwrap());
            path
        };
        let index = read(out.join("index.json"));
        assert_eq!(index["manifests"][0]["annotations"]["io.containerd.image.name"], "x.test/hello:1");
        let manifest = read(at(&index["manifests"][0]));
        assert_eq!(read(at(&manifest["config"]))["config"]["User"], "65532:65532");
        unpack(&at(&manifest["layers"][0]));
        assert_eq!(fs::read_to_string(out.join("bin/hello")).unwrap(), "world");
    }
}
