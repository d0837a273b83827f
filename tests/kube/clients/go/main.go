// What tests ask of client-go.
//
//	client KUBECONFIG URL spdy|websocket
//
// runs a command in a container straight at a node's port, with one of the executors. The URL has the
// command and which streams it has. Ends with the command's code.
//
//	client whoami
//
// in a pod: asks the API server, by the name of its Service, whom the pod's token stands for.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"
)

// exitFailed is no command's code in the tests.
const exitFailed = 64

// service is what the API server is called in a cluster.
const service = "https://kubernetes.default.svc"

// question is a request to the API server to say who asks.
const question = `{"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}`

func main() {
	err := act(os.Args[1:])
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

func act(words []string) error {
	switch len(words) {
	case 1:
		return whoami()
	case 3:
		return run(words[0], words[1], words[2])
	default:
		return fmt.Errorf("usage: client KUBECONFIG URL spdy|websocket, or client whoami")
	}
}

func whoami() error {
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	path := "/apis/authentication.k8s.io/v1/selfsubjectreviews"
	answer, err := client.Post(service+path, "application/json", strings.NewReader(question))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(os.Stdout, answer.Body)
	return err
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
