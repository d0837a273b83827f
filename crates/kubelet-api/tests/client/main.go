// A client of the kubelet's port, by the libraries that kubectl uses. It does one thing, and prints
// what came of it.
//
//	client URL TOKEN CA-FILE WIRE exec TTY INPUT-BYTES QUERY
//	client URL TOKEN CA-FILE WIRE forward PORT CONNECTIONS
//
// WIRE is spdy or websocket, with a protocol after a colon if not the newest.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/util/exec"
)

func main() {
	log.SetFlags(0)
	server, token, ca, wire := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	config := &rest.Config{
		Host:            server,
		BearerToken:     token,
		TLSClientConfig: rest.TLSClientConfig{CAFile: ca},
	}
	switch action, arguments := os.Args[5], os.Args[6:]; action {
	case "exec":
		command(config, wire, arguments[0] == "tty", number(arguments[1]), server+arguments[2])
	case "forward":
		forward(config, wire, arguments[0], number(arguments[1]), server+"/portForward/default/web")
	}
}

// Sends so many bytes, then the end, and prints what came back and how it ended.
func command(config *rest.Config, wire string, tty bool, count int64, at string) {
	sent, received, errors := sha256.New(), sha256.New(), &bytes.Buffer{}
	head, size := &bytes.Buffer{}, &counter{}
	options := remotecommand.StreamOptions{
		Stdout: io.MultiWriter(received, size, &first{head, 256}),
		Tty:    tty,
	}
	if count > 0 {
		source := io.LimitReader(rand.New(rand.NewSource(count)), count)
		options.Stdin = io.TeeReader(source, sent)
	}
	if tty {
		options.TerminalSizeQueue = &sizes{left: []uint16{120, 80}}
	} else {
		options.Stderr = errors
	}
	err := executor(config, wire, at).StreamWithContext(context.Background(), options)
	fmt.Printf("sent %x\nreceived %x\n", sent.Sum(nil), received.Sum(nil))
	fmt.Printf("bytes %d\n", size.bytes)
	if size.bytes <= 256 {
		fmt.Printf("stdout %q\n", head.String())
	}
	fmt.Printf("stderr %q\n", errors.String())
	fmt.Println(ended(err))
}

func executor(config *rest.Config, wire, at string) remotecommand.Executor {
	kind, protocol, named := strings.Cut(wire, ":")
	var made remotecommand.Executor
	var err error
	switch {
	case kind == "spdy":
		var parsed *url.URL
		parsed, err = url.Parse(at)
		must(err)
		if !named {
			made, err = remotecommand.NewSPDYExecutor(config, "POST", parsed)
			break
		}
		transport, upgrader, problem := spdy.RoundTripperFor(config)
		must(problem)
		made, err = remotecommand.NewSPDYExecutorForProtocols(transport, upgrader, "POST", parsed, protocol)
	case named:
		made, err = remotecommand.NewWebSocketExecutorForProtocols(config, "GET", at, protocol)
	default:
		made, err = remotecommand.NewWebSocketExecutor(config, "GET", at)
	}
	must(err)
	return made
}

func ended(err error) string {
	var exit exec.ExitError
	switch {
	case err == nil:
		return "exit 0"
	case errors.As(err, &exit):
		return fmt.Sprintf("exit %d", exit.ExitStatus())
	default:
		return "error " + err.Error()
	}
}

// Many connections through one forward: each sends its number and its end, and reads to the end.
func forward(config *rest.Config, wire, port string, connections int64, at string) {
	stop, ready, problems := make(chan struct{}), make(chan struct{}), &locked{}
	forwarder, err := portforward.New(dialer(config, wire, at), []string{"0:" + port}, stop, ready, io.Discard, problems)
	must(err)
	result := make(chan error, 1)
	go func() { result <- forwarder.ForwardPorts() }()
	<-ready
	ports, err := forwarder.GetPorts()
	must(err)
	var wait sync.WaitGroup
	good := &locked{}
	for number := range connections {
		wait.Add(1)
		go func() {
			defer wait.Done()
			text := strings.Repeat(fmt.Sprintf("connection %d\n", number), 2000)
			if answer, err := ask(ports[0].Local, text); err == nil && answer == text {
				good.Write([]byte("."))
			}
		}()
	}
	wait.Wait()
	fmt.Printf("good %d\n", len(good.text()))
	select {
	case err = <-result:
	default:
		close(stop)
		err = <-result
	}
	fmt.Printf("problems %q\nended %v\n", problems.text(), err)
}

func dialer(config *rest.Config, wire, at string) httpstream.Dialer {
	parsed, err := url.Parse(at)
	must(err)
	if wire == "spdy" {
		transport, upgrader, err := spdy.RoundTripperFor(config)
		must(err)
		return spdy.NewDialer(upgrader, &http.Client{Transport: transport}, "POST", parsed)
	}
	dialer, err := portforward.NewSPDYOverWebsocketDialer(parsed, config)
	must(err)
	return dialer
}

func ask(port uint16, text string) (string, error) {
	connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return "", err
	}
	defer connection.Close()
	go func() {
		io.WriteString(connection, text)
		connection.(*net.TCPConn).CloseWrite()
	}()
	answer, err := io.ReadAll(connection)
	return string(answer), err
}

type sizes struct{ left []uint16 }

func (s *sizes) Next() *remotecommand.TerminalSize {
	if len(s.left) == 0 {
		return nil
	}
	width := s.left[0]
	s.left = s.left[1:]
	return &remotecommand.TerminalSize{Width: width, Height: 40}
}

type counter struct{ bytes int64 }

func (c *counter) Write(bytes []byte) (int, error) {
	c.bytes += int64(len(bytes))
	return len(bytes), nil
}

// Keeps the first bytes.
type first struct {
	kept *bytes.Buffer
	max  int
}

func (f *first) Write(bytes []byte) (int, error) {
	f.kept.Write(bytes[:min(len(bytes), max(0, f.max-f.kept.Len()))])
	return len(bytes), nil
}

type locked struct {
	mutex  sync.Mutex
	buffer bytes.Buffer
}

func (l *locked) Write(bytes []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.buffer.Write(bytes)
}

func (l *locked) text() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.buffer.String()
}

func number(text string) int64 {
	number, err := strconv.ParseInt(text, 10, 64)
	must(err)
	return number
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
