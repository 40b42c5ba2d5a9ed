//! What becomes of the charts on a cluster.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use pricemonitor_testkit::kubernetes::Helm;
use pricemonitor_testkit::process::Process;
use pricemonitor_testkit::wait;
use serde_json::{Value, json};

use crate::{CLUSTER, DEFINITION, OPERATOR, SYSTEM, admin, chart, of_kind};

const CRD: &str = "crd/pricemonitors.pricemonitor.dev";
const MONITOR: &str = "apiVersion: pricemonitor.dev/v1alpha1\nkind: PriceMonitor\nmetadata: {name: shop, namespace: default}\n\
                       spec:\n  sources: [{name: market, simulator: {}}]\n  suspend: true\n";

/// A copy of the definition's chart as an earlier version may have had it: without `spec.suspend`.
fn earlier(helm: &Helm) -> String {
    let (from, to) = (chart(DEFINITION), helm.place().at("earlier"));
    fs::create_dir_all(to.join("templates")).unwrap();
    for file in ["values.yaml", "values.schema.json", "templates/NOTES.txt"] {
        fs::copy(Path::new(&from).join(file), to.join(file)).unwrap();
    }
    let about = fs::read_to_string(Path::new(&from).join("Chart.yaml")).unwrap();
    fs::write(to.join("Chart.yaml"), about.replace("\nversion: 0.1.0", "\nversion: 0.0.9")).unwrap();
    let template = "templates/pricemonitors.yaml";
    let now = fs::read_to_string(Path::new(&from).join(template)).unwrap();
    let begin = now.find("              suspend:\n").unwrap();
    let length = now[begin..].match_indices('\n').map(|(at, _)| at + 1).find(|at| {
        let next = &now[begin + at..];
        next.len() - next.trim_start_matches(' ').len() <= 14
    });
    let before = format!("{}{}", &now[..begin], &now[begin + length.unwrap()..]);
    fs::write(to.join(template), before).unwrap();
    to.display().to_string()
}

fn suspend(object: &Value) -> &Value {
    &object["spec"]["suspend"]
}

#[test]
fn installing_upgrading_and_uninstalling_leave_the_monitors_alone() {
    let helm = Helm::of(admin()).unwrap();
    let upgrade = |release: &str, chart: &str, more: &[&str]| {
        let fixed = [
            "upgrade",
            "--install",
            release,
            chart,
            "--namespace",
            SYSTEM,
            "--create-namespace",
            "--wait",
            "--timeout=120s",
        ];
        helm.run(&[&fixed[..], more].concat()).unwrap()
    };
    // Without the definition the operator's notes say what is missing.
    let notes = upgrade(OPERATOR, &chart(OPERATOR), &["--set", "image.tag=one"]);
    assert!(notes.contains("pricemonitor-operator-crds"), "{notes}");

    // A definition of an earlier version drops what it does not know; after the upgrade it is kept.
    upgrade(DEFINITION, &earlier(&helm), &[]);
    admin().run(&["wait", "--for=condition=Established", CRD, "--timeout=60s"], None).unwrap();
    wait::until("the API to serve monitors", Duration::from_secs(60), || {
        admin().get(&["pricemonitors"]).is_ok()
    })
    .unwrap();
    admin().run(&["create", "--validate=ignore", "-f", "-"], Some(MONITOR)).unwrap();
    assert!(suspend(&admin().get(&["pm", "shop"]).unwrap()).is_null());
    upgrade(DEFINITION, &chart(DEFINITION), &[]);
    let kept =
        || admin().run(&["apply", "--server-side", "--force-conflicts", "-f", "-"], Some(MONITOR)).is_ok();
    wait::until("the newer definition to be served", Duration::from_secs(60), || {
        kept() && suspend(&admin().get(&["pm", "shop"]).unwrap()) == &Value::Bool(true)
    })
    .unwrap();

    // Other values roll the operator.
    let notes = upgrade(
        OPERATOR,
        &chart(OPERATOR),
        &[
            "--set",
            "image.tag=two",
            "--set",
            "defaults.kafka.bootstrapServers=k:9092,defaults.postgres.secret=prices-app",
        ],
    );
    assert!(!notes.contains("definition of PriceMonitor is not there"), "{notes}");
    let deployment = admin().get(&["deployment", OPERATOR, "--namespace", SYSTEM]).unwrap();
    assert_eq!(deployment["status"]["readyReplicas"], 2);
    assert_eq!(deployment["spec"]["template"]["spec"]["containers"][0]["image"], "pricemonitor:two");
    runs(&deployment);

    let uninstall =
        |release: &str| helm.run(&["uninstall", release, "--namespace", SYSTEM, "--wait"]).unwrap();
    uninstall(OPERATOR);
    uninstall(DEFINITION);
    assert!(admin().get(&["deployment", OPERATOR, "--namespace", SYSTEM]).is_err());
    assert_eq!(admin().get(&["pm", "shop"]).unwrap()["metadata"]["name"], "shop");

    // And it can be taken up again.
    upgrade(DEFINITION, &chart(DEFINITION), &["--take-ownership"]);
    assert_eq!(admin().get(&["pm", "shop"]).unwrap()["metadata"]["name"], "shop");
}

/// The real program, with the arguments and the rights of the Deployment, looks after the monitor: no container runs on
/// a node that is played.
fn runs(deployment: &Value) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "prices-app", "namespace": "default"},
        "stringData": {"host": "postgres", "dbname": "prices", "user": "app", "password": "x"}});
    admin().apply_all(&[secret]).unwrap();
    let pod = &deployment["spec"]["template"]["spec"];
    let account = CLUSTER.account(SYSTEM, pod["serviceAccountName"].as_str().unwrap()).unwrap();
    let arguments = pod["containers"][0]["args"].as_array().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pricemonitor-operator"));
    command.args(arguments.iter().map(|argument| argument.as_str().unwrap()));
    command.args(["--listen=127.0.0.1:0".to_owned(), format!("--lease-namespace={SYSTEM}")]);
    let operator =
        Process::start(command.env("KUBECONFIG", account.kubeconfig()).env_remove("RUST_LOG")).unwrap();
    let there = || {
        admin()
            .get(&["deployment", "shop-processor"])
            .is_ok_and(|found| of_kind(&[found], "Deployment")["spec"]["replicas"] == 0)
    };
    wait::until("the operator to make the workers", Duration::from_secs(60), there).unwrap_or_else(|error| {
        panic!("{error}: {}\n{:?}", operator.output().all(), admin().get(&["pm", "shop"]))
    });
    operator.terminate(Duration::from_secs(20)).unwrap();
}
