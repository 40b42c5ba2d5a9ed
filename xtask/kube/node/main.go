// The programs that make a machine a node of Kubernetes, in one file, as those of the control plane are: which
// of them it is, the name that it is called by says. A file of its own, for most tests need no real node.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	// Each program registers these for itself upstream: JSON as a log format, its client's metrics, its version.
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
)

func main() {
	var command *cobra.Command
	switch name := filepath.Base(os.Args[0]); name {
	case "kubelet":
		command = kubelet.NewKubeletCommand(context.Background())
	case "kube-proxy":
		command = proxy.NewProxyCommand()
	default:
		fmt.Fprintf(os.Stderr, "no program is named %s: call this file `kubelet` or `kube-proxy`\n", name)
		os.Exit(2)
	}
	os.Exit(cli.Run(command))
}
