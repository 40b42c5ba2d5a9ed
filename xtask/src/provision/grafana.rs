//! What checks dashboards against Grafana's schema: a small program of ours around Grafana's library for dashboards. Grafana
//! itself is not needed, and not fetched.

use anyhow::Result;

use super::cache;
use super::go::Build;
use super::provisioned::GRAFANA_SCHEMA;

/// The program's module: its files and what they hold.
const MODULE: [(&str, &str); 4] = [
    ("main.go", include_str!("../../go/grafana-schema/main.go")),
    ("postgres.go", include_str!("../../go/grafana-schema/postgres.go")),
    ("go.mod", include_str!("../../go/grafana-schema/go.mod")),
    ("go.sum", include_str!("../../go/grafana-schema/go.sum")),
];

/// Makes sure that the program is there.
///
/// # Errors
/// When there is no Go, or it cannot fetch or compile.
pub(crate) fn schema() -> Result<bool> {
    cache::fill(&GRAFANA_SCHEMA, |folder| {
        let build = Build::new(folder, &MODULE)?;
        build.build(".", "", &folder.join("bin").join(GRAFANA_SCHEMA.name))?;
        build.remove()
    })?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_asks_for_the_version_of_the_library_that_the_recipe_names() {
        let asks = format!("github.com/grafana/grafana-foundation-sdk/go v{}\n", GRAFANA_SCHEMA.version);
        assert!(MODULE.iter().any(|(name, text)| *name == "go.mod" && text.contains(&asks)));
        let recipe = format!("grafana-foundation-sdk {}, ", GRAFANA_SCHEMA.version);
        assert!(GRAFANA_SCHEMA.recipe.starts_with(&recipe));
    }
}
