// Command kube is etcd, kube-apiserver, kube-controller-manager or kustomize, by its first argument: the real ones, in one
// binary for the tests.
package main

import (
	"fmt"
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: kube etcd|kube-apiserver|kube-controller-manager [flags], or kube kustomize DIR")
		os.Exit(2)
	}
	name := os.Args[1]
	os.Args = append([]string{name}, os.Args[2:]...)
	switch name {
	case "etcd":
		etcdmain.Main(os.Args)
	case "kube-apiserver":
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "kube-controller-manager":
		os.Exit(cli.Run(controllers.NewControllerManagerCommand()))
	case "kustomize":
		os.Exit(kustomize(os.Args[1:]))
	default:
		fmt.Fprintf(os.Stderr, "kube: unknown component %q\n", name)
		os.Exit(2)
	}
}

// kustomize prints the objects of a folder, as `kubectl kustomize DIR` does.
func kustomize(args []string) int {
	if len(args) != 1 {
		fmt.Fprintln(os.Stderr, "usage: kube kustomize DIR")
		return 2
	}
	objects, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), args[0])
	if err == nil {
		var yaml []byte
		if yaml, err = objects.AsYaml(); err == nil {
			fmt.Print(string(yaml))
			return 0
		}
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}
