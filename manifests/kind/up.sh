#!/bin/sh
# PriceMonitor on a kind cluster of this machine: cluster, image, Kafka, PostgreSQL, Prometheus, Grafana, operator and the
# ticket sample. What is there already stays; run it again after a change of the code, of a chart or of a manifest.
#
#   manifests/kind/up.sh                page and Grafana on ports 8501 and 3000 until Ctrl-C; the cluster stays
#   manifests/kind/up.sh --no-forward   ends when the sample is ready
#
# Variables: CLUSTER, the name of the kind cluster (pricemonitor); DISCORD_WEBHOOK_URL, to be told on Discord.
set -eu

CLUSTER=${CLUSTER:-pricemonitor}
NAMESPACE=prices
SYSTEM=pricemonitor-system
MONITOR=concert-tickets
IMAGE=pricemonitor:dev

say() { printf '\n--- %s\n' "$*"; }
fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}
usage() { sed -n '2,8s/^# \{0,1\}//p' "$0"; }

forward=yes
case "${1:-}" in
'') ;;
--no-forward) forward=no ;;
-h | --help)
    usage
    exit 0
    ;;
*) fail "\`$1\` is not known; see $0 --help" ;;
esac

need() { command -v "$1" >/dev/null 2>&1 || fail "$1 is missing: install it, see $2"; }
need docker https://docs.docker.com/engine/install/
need kind https://kind.sigs.k8s.io/docs/user/quick-start/#installation
need kubectl https://kubernetes.io/docs/tasks/tools/
need helm https://helm.sh/docs/intro/install/
docker info >/dev/null 2>&1 || fail "docker does not answer: start it, or see whether you may use it (docker info)"

cd "$(dirname "$0")/../.."

# Never the cluster that happens to be the current one.
k() { kubectl --context "kind-$CLUSTER" "$@"; }
h() { helm --kube-context "kind-$CLUSTER" "$@"; }
# A ConfigMap of the files of a folder.
folder() {
    k create configmap "$1" --namespace "$NAMESPACE" --from-file="$2" --dry-run=client --output yaml |
        k apply --server-side --filename -
}

if kind get clusters 2>/dev/null | grep -qx "$CLUSTER"; then
    say "the kind cluster $CLUSTER is there"
    kind export kubeconfig --name "$CLUSTER"
else
    say "making the kind cluster $CLUSTER"
    kind create cluster --name "$CLUSTER" --config manifests/kind/kind.yaml --wait 120s
fi

say "building the image $IMAGE (the first time this takes some minutes)"
docker build --file docker/Dockerfile --tag "$IMAGE" .
say "putting it into the cluster"
kind load docker-image "$IMAGE" --name "$CLUSTER"

say "installing the definition and the operator"
h upgrade --install pricemonitor-operator-crds charts/pricemonitor-operator-crds \
    --namespace "$SYSTEM" --create-namespace
k wait --for=condition=Established crd/pricemonitors.pricemonitor.dev --timeout=60s
h upgrade --install pricemonitor-operator charts/pricemonitor-operator \
    --namespace "$SYSTEM" --values manifests/kind/operator-values.yaml
# The tag stays the same when the image is built anew.
k rollout restart --namespace "$SYSTEM" deployment/pricemonitor-operator
k rollout status --namespace "$SYSTEM" deployment/pricemonitor-operator --timeout=180s

k apply --server-side --filename manifests/kind/namespace.yaml
# Made once: the database keeps the password that it was made with.
if k get secret prices-app --namespace "$NAMESPACE" >/dev/null 2>&1; then
    say "the Secret prices-app is there"
else
    say "making the Secret prices-app"
    k create --filename - <<SECRET
apiVersion: v1
kind: Secret
metadata: {name: prices-app, namespace: $NAMESPACE}
stringData:
  host: postgres
  port: "5432"
  dbname: prices
  user: prices
  password: $(od -An -N16 -tx1 /dev/urandom | tr -d ' \n' | sed 's/^/p/')
SECRET
fi
if [ -n "${DISCORD_WEBHOOK_URL:-}" ]; then
    say "putting the address of Discord's webhook into the Secret discord"
    k apply --server-side --filename - <<SECRET
apiVersion: v1
kind: Secret
metadata: {name: discord, namespace: $NAMESPACE}
stringData:
  url: "$DISCORD_WEBHOOK_URL"
SECRET
fi

say "applying dashboards and alert rules"
folder grafana-dashboards charts/pricemonitor-operator/files/dashboards
folder grafana-datasources docker/grafana/provisioning/datasources
folder grafana-providers docker/grafana/provisioning/dashboards
folder prometheus-rules charts/pricemonitor-operator/files/alerts
if k get pricemonitor "$MONITOR" --namespace "$NAMESPACE" >/dev/null 2>&1; then
    say "restarting what is there, for the new image, dashboards and rules"
    k rollout restart --namespace "$NAMESPACE" deployment --selector app.kubernetes.io/name=pricemonitor
    k rollout restart --namespace "$NAMESPACE" deployment/prometheus deployment/grafana
fi
say "applying Kafka, PostgreSQL, Prometheus, Grafana and the sample"
k apply --server-side --kustomize manifests/kind
k apply --server-side --filename manifests/kind/prometheus-rights.yaml
say "waiting until they are ready (images are pulled the first time)"
for one in statefulset/kafka statefulset/postgres deployment/prometheus deployment/grafana; do
    k rollout status --namespace "$NAMESPACE" "$one" --timeout=300s || {
        k get pods --namespace "$NAMESPACE"
        fail "$one is not ready; kubectl --context kind-$CLUSTER --namespace $NAMESPACE describe $one says more"
    }
done
say "waiting until the monitor $MONITOR is ready"
k wait --namespace "$NAMESPACE" --for=condition=Ready "pricemonitor/$MONITOR" --timeout=300s || {
    k get pods,pricemonitors --namespace "$NAMESPACE"
    fail "$MONITOR is not ready; kubectl --context kind-$CLUSTER --namespace $NAMESPACE describe pm $MONITOR says why"
}
k get pricemonitors --namespace "$NAMESPACE"

cat <<NEXT

What to do next:
  kubectl --context kind-$CLUSTER --namespace $NAMESPACE get pods,pm
  kubectl --context kind-$CLUSTER --namespace $NAMESPACE logs deployment/$MONITOR-alert
  kubectl --context kind-$CLUSTER --namespace $NAMESPACE edit pm $MONITOR
  manifests/kind/down.sh     takes the cluster away, with all that is in it
NEXT
page="kubectl --context kind-$CLUSTER --namespace $NAMESPACE port-forward service/$MONITOR-dashboard 8501:8501"
grafana="kubectl --context kind-$CLUSTER --namespace $NAMESPACE port-forward service/grafana 3000:3000"
if [ "$forward" = no ]; then
    printf 'The page, on http://localhost:8501:\n  %s\n' "$page"
    printf 'Grafana, on http://localhost:3000 (admin, password admin):\n  %s\n' "$grafana"
    exit 0
fi
say "the page is on http://localhost:8501, Grafana on http://localhost:3000 (admin, password admin), until Ctrl-C; the cluster stays"
# What stands in the background does not hear Ctrl-C by itself.
$grafana &
background=$!
trap 'kill "$background" 2>/dev/null || true' EXIT
trap 'exit 0' INT TERM
$page
