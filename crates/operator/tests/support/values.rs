//! A chart's values.yaml as what it says to people: a value is a key under a comment that begins with `# --`.

/// One value.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// Names with dots between.
    pub(crate) path: String,
    /// What it does.
    pub(crate) why: String,
    /// What it is when nobody sets it, in one line.
    pub(crate) default: String,
}

/// All values, in their order.
pub(crate) fn read(text: &str) -> Vec<Told> {
    let (mut all, mut above): (Vec<Told>, Vec<(usize, &str)>) = (Vec::new(), Vec::new());
    let (mut why, mut within): (Option<String>, Option<usize>) = (None, None);
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let (depth, line) = (line.len() - line.trim_start().len(), line.trim());
        if let Some(comment) = line.strip_prefix('#') {
            match (comment.trim_start().strip_prefix("-- "), &mut why) {
                (Some(begin), _) => why = Some(begin.to_owned()),
                (None, Some(words)) => words.push_str(&format!(" {}", comment.trim_start())),
                (None, None) => {}
            }
            continue;
        }
        if within.is_some_and(|of| depth > of) {
            if let Some(last) = all.last_mut() {
                let part = match last.default.as_str() {
                    "" => "",
                    opens if opens.ends_with(':') => " ",
                    _ => ", ",
                };
                last.default.push_str(&format!("{part}{line}"));
            }
            continue;
        }
        within = None;
        above.retain(|(of, _)| *of < depth);
        let Some((name, value)) = line.split_once(':') else { continue };
        above.push((depth, name));
        let Some(why) = why.take() else { continue };
        let path = above.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(".");
        all.push(Told { path, why, default: value.trim().to_owned() });
        within = value.trim().is_empty().then_some(depth);
    }
    all
}

/// The chart's README.
pub(crate) fn readme(values: &[Told]) -> String {
    let mut out = String::from(
        "<!-- Generated from values.yaml by `UPDATE=1 cargo test -p pricemonitor-operator`; do not edit. -->\n\n\
         # pricemonitor-operator\n\n\
         Turns `PriceMonitor` resources into running price pipelines. It needs Kubernetes 1.30 or newer; monitors need \
         Apache\nKafka and PostgreSQL, which it does not bring.\n\n    \
         helm upgrade --install pricemonitor-operator-crds charts/pricemonitor-operator-crds \\\n        \
         --namespace pricemonitor-system --create-namespace\n    \
         helm upgrade --install pricemonitor-operator charts/pricemonitor-operator \\\n        \
         --namespace pricemonitor-system --set image.repository=registry.example/pricemonitor \\\n        \
         --set defaults.kafka.bootstrapServers=kafka.data:9092 --set defaults.postgres.secret=prices-app\n\n\
         The definition of `PriceMonitor` has a chart of its own: it is upgraded with it, and stays, with every monitor, \
         when the\ncharts are uninstalled. What the operator does is told in [docs/kubernetes.md](../../docs/kubernetes.md).\n\n\
         A value that is not in this list is refused, as is one of the wrong kind.\n\n\
         | value | default | meaning |\n|---|---|---|\n",
    );
    for Told { path, why, default } in values {
        let (default, why) = (default.replace('|', "\\|"), why.replace('|', "\\|"));
        out.push_str(&format!("| `{path}` | `{default}` | {why} |\n"));
    }
    out
}
