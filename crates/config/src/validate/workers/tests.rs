use crate::load;

const HEAD: &str = "apiVersion: pricemonitor.dev/v1alpha1\nkind: PriceMonitor\nmetadata: {name: m}\nspec:\n";
const SOURCE: &str = "  sources: [{name: s, simulator: {}}]\n";

/// Each problem of a spec as `path: message`.
fn told(spec: &str) -> Vec<String> {
    let problems = load(&format!("{HEAD}{spec}"), "x").err();
    problems.into_iter().flat_map(|problems| problems.list).map(|problem| problem.to_string()).collect()
}

#[test]
fn workers_are_judged_each_with_its_path() {
    let workers = |text: &str| told(&format!("{SOURCE}  kafka: {{partitions: 2}}\n  workers: {{{text}}}\n"));
    for right in [
        "processor: {replicas: 3}",
        "processor: {autoscaling: {minReplicas: 1, maxReplicas: 2, targetLag: 1000}}",
        "producer: {autoscaling: {maxReplicas: 9, targetCpuUtilization: 70}, resources: {requests: {cpu: 50m}}}",
        "dashboard: {enabled: true, service: {type: NodePort, port: 80}, allowedHosts: [prices.example.org]}",
        "pod: {nodeSelector: {kubernetes.io/arch: arm64}, labels: {team: x}, terminationGracePeriodSeconds: 60, \
         tolerations: [{operator: Exists, effect: NoSchedule}], imagePullSecrets: [{name: pull}]}",
    ] {
        assert_eq!(workers(right), [""; 0], "{right}");
    }
    for (wrong, path, words) in [
        ("processor: {replicas: 1001}", "processor.replicas", "from 0 to 1000"),
        ("alert: {replicas: 1, autoscaling: {maxReplicas: 2}}", "alert", "both `replicas` and `autoscaling`"),
        ("processor: {autoscaling: {maxReplicas: 3}}", "processor.autoscaling.maxReplicas", "partitions (2)"),
        ("storage: {autoscaling: {maxReplicas: 3}}", "storage.autoscaling.maxReplicas", "partitions (2)"),
        ("alert: {autoscaling: {minReplicas: 3, maxReplicas: 2}}", "alert.autoscaling.minReplicas", "above"),
        (
            "alert: {autoscaling: {maxReplicas: 2, targetLag: 5}}",
            "alert.autoscaling.targetLag",
            "storage alone",
        ),
        (
            "storage: {autoscaling: {maxReplicas: 2, targetLag: 5, targetCpuUtilization: 5}}",
            "storage.autoscaling",
            "keep one",
        ),
        ("alert: {resources: {limits: {memory: 1 GB}}}", "alert.resources.limits.memory", "`128Mi`"),
        ("dashboard: {service: {port: 65536}}", "dashboard.service.port", "65535"),
        ("dashboard: {allowedHosts: ['http://x']}", "dashboard.allowedHosts[0]", "host name"),
        ("pod: {labels: {'-x': y}}", "pod.labels", "`example.org/name`"),
        ("pod: {labels: {x: a b}}", "pod.labels.x", "label's value"),
        ("pod: {terminationGracePeriodSeconds: 1}", "pod.terminationGracePeriodSeconds", "from 5 to 3600"),
    ] {
        let told = workers(wrong);
        assert_eq!(told.len(), 1, "{wrong}: {told:?}");
        assert!(
            told[0].starts_with(&format!("spec.workers.{path}: ")) && told[0].contains(words),
            "{told:?}"
        );
    }
}

#[test]
fn a_csv_file_has_one_writer_and_a_volume_is_one_place() {
    let csv = |rest: &str| told(&format!("{SOURCE}  storage: {{csv: {{path: x.csv{rest}}}}}\n"));
    assert_eq!(csv(", volume: {size: 2Gi}"), [""; 0]);
    assert!(csv(", volume: {size: 2Gi, claimName: x}")[0].contains("claim that is made"));
    assert!(csv(", volume: {size: many}")[0].starts_with("spec.storage.csv.volume.size: "));
    let two = "  workers: {storage: {replicas: 2}}\n  storage: {csv: {path: x.csv}}\n";
    assert!(told(&format!("{SOURCE}{two}"))[0].starts_with("spec.workers.storage.replicas: must be 0 or 1"));
    let file = |volume: &str| {
        told(&format!(
            "  sources: [{{name: s, file: {{path: a.json, format: porssisahko, volume: {volume}}}}}]\n"
        ))
    };
    assert_eq!(file("{configMap: {name: prices}}"), [""; 0]);
    assert!(file("{}")[0].contains("exactly one place"));
    assert_eq!(file("{persistentVolumeClaim: {claimName: A}}").len(), 1);
    assert!(told(&format!("{SOURCE}  image: 'a b'\n"))[0].starts_with("spec.image: "));
}
