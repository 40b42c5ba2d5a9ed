//! Hands the target triple on to the program: cargo tells it only to build scripts.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Ok(target) = std::env::var("TARGET") {
        println!("cargo::rustc-env=XTASK_TARGET={target}");
    }
}
