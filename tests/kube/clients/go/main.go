// Runs a command in a container straight at a node's port, with one of client-go's executors.
//
//	client KUBECONFIG URL spdy|websocket
//
// The URL has the command and which streams it has. Ends with the command's code.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"
)

// exitFailed is no command's code in the tests.
const exitFailed = 64

func main() {
	err := run(os.Args[1], os.Args[2], os.Args[3])
	var ended exec.CodeExitError
	switch {
	case err == nil:
	case errors.As(err, &ended):
		os.Exit(ended.Code)
	default:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitFailed)
	}
}

func run(kubeconfig, at, protocol string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	executor, err := executor(config, at, protocol)
	if err != nil {
		return err
	}
	streams := remotecommand.StreamOptions{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	return executor.StreamWithContext(context.Background(), streams)
}

func executor(config *rest.Config, at, protocol string) (remotecommand.Executor, error) {
	switch protocol {
	case "spdy":
		address, err := url.Parse(at)
		if err != nil {
			return nil, err
		}
		return remotecommand.NewSPDYExecutor(config, "POST", address)
	case "websocket":
		return remotecommand.NewWebSocketExecutor(config, "GET", at)
	default:
		return nil, fmt.Errorf("no protocol %q", protocol)
	}
}
