#!/bin/sh
# Takes away the kind cluster that up.sh made, with the prices in it. The image pricemonitor:dev stays in docker.
#
# Variable: CLUSTER, the name of the kind cluster (pricemonitor).
set -eu

CLUSTER=${CLUSTER:-pricemonitor}

command -v kind >/dev/null 2>&1 || {
    echo "error: kind is missing: see https://kind.sigs.k8s.io/docs/user/quick-start/#installation" >&2
    exit 1
}
if kind get clusters 2>/dev/null | grep -qx "$CLUSTER"; then
    kind delete cluster --name "$CLUSTER"
else
    echo "there is no kind cluster $CLUSTER"
fi
