// Records what the clients of client-go send, for the tests beside it:
//
//	go run . ../captures
//
// Each case has a server of its own on loopback, which the same libraries make, and between client
// and server a relay that writes down the bytes of the client after its HTTP request. Of a
// WebSocket it is the messages that are written down, each after its kind and its length.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	spdytransport "k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

const success = `{"metadata":{},"status":"Success"}`

func main() {
	log.SetFlags(0)
	dir := os.Args[1]
	captures := map[string]func() []byte{
		"exec.spdy":     func() []byte { return recordSPDY(execServer(4), execSPDY(false)) },
		"terminal.spdy": func() []byte { return recordSPDY(execServer(4), execSPDY(true)) },
		"forward.spdy":  func() []byte { return recordSPDY(forwardServer(), forward) },
		"exec.v5":       recordWebSocket,
	}
	for name, record := range captures {
		path := filepath.Join(dir, name)
		must(os.WriteFile(path, record(), 0o644))
		fmt.Println(path)
	}
}

func recordSPDY(handler http.HandlerFunc, client func(*url.URL)) []byte {
	server := httptest.NewServer(handler)
	defer server.Close()
	relay := newRelay(server.Listener.Addr().String())
	client(&url.URL{Scheme: "http", Host: relay.address, Path: "/"})
	return relay.sent()
}

// A command with all its streams: "hello" and the end on its input.
func execSPDY(tty bool) func(*url.URL) {
	return func(at *url.URL) {
		executor, err := remotecommand.NewSPDYExecutor(&rest.Config{}, "POST", at)
		must(err)
		must(executor.StreamWithContext(context.Background(), options(tty)))
	}
}

func options(tty bool) remotecommand.StreamOptions {
	options := remotecommand.StreamOptions{Stdin: strings.NewReader("hello"), Stdout: io.Discard, Tty: tty}
	if tty {
		options.TerminalSizeQueue = &sizes{left: []remotecommand.TerminalSize{
			{Width: 120, Height: 40}, {Width: 80, Height: 24},
		}}
	} else {
		options.Stderr = io.Discard
	}
	return options
}

type sizes struct{ left []remotecommand.TerminalSize }

func (s *sizes) Next() *remotecommand.TerminalSize {
	if len(s.left) == 0 {
		return nil
	}
	next := s.left[0]
	s.left = s.left[1:]
	return &next
}

// Reads the input to its end, then ends well.
func execServer(streams int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		protocol := []string{"v4.channel.k8s.io"}
		_, err := httpstream.Handshake(r, w, protocol)
		must(err)
		opened := make(chan httpstream.Stream, streams)
		connection := spdy.NewResponseUpgrader().UpgradeResponse(w, r,
			func(stream httpstream.Stream, _ <-chan struct{}) error { opened <- stream; return nil })
		defer connection.Close()
		byKind := map[string]httpstream.Stream{}
		for len(byKind) < streams {
			stream := <-opened
			byKind[stream.Headers().Get("streamType")] = stream
		}
		_, err = io.Copy(io.Discard, byKind["stdin"])
		must(err)
		time.Sleep(200 * time.Millisecond)
		_, err = io.WriteString(byKind["error"], success)
		must(err)
		for _, stream := range byKind {
			stream.Close()
		}
		<-connection.CloseChan()
	}
}

// Two connections through one forward, each with a request and an answer.
func forward(at *url.URL) {
	transport, upgrader, err := spdytransport.RoundTripperFor(&rest.Config{})
	must(err)
	dialer := spdytransport.NewDialer(upgrader, &http.Client{Transport: transport}, "POST", at)
	stop, ready := make(chan struct{}), make(chan struct{})
	forwarder, err := portforward.New(dialer, []string{"0:8080"}, stop, ready, io.Discard, os.Stderr)
	must(err)
	ended := make(chan error)
	go func() { ended <- forwarder.ForwardPorts() }()
	<-ready
	ports, err := forwarder.GetPorts()
	must(err)
	for _, text := range []string{"one", "two"} {
		connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ports[0].Local))
		must(err)
		_, err = io.WriteString(connection, text)
		must(err)
		must(connection.(*net.TCPConn).CloseWrite())
		answer, err := io.ReadAll(connection)
		must(err)
		if string(answer) != text {
			log.Fatalf("%q came back as %q", text, answer)
		}
		connection.Close()
		time.Sleep(200 * time.Millisecond)
	}
	close(stop)
	<-ended
}

// Sends back what comes.
func forwardServer() http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, err := httpstream.Handshake(r, w, []string{"portforward.k8s.io"})
		must(err)
		connection := spdy.NewResponseUpgrader().UpgradeResponse(w, r,
			func(stream httpstream.Stream, replied <-chan struct{}) error {
				go func() {
					<-replied
					if stream.Headers().Get("streamType") == "data" {
						io.Copy(stream, stream)
					}
					stream.Close()
				}()
				return nil
			})
		<-connection.CloseChan()
	}
}

// The messages of a command over a WebSocket: b or t, the length as 32 bits, the payload.
func recordWebSocket() []byte {
	var messages bytes.Buffer
	upgrader := websocket.Upgrader{Subprotocols: []string{"v5.channel.k8s.io"}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connection, err := upgrader.Upgrade(w, r, nil)
		must(err)
		defer connection.Close()
		for {
			kind, message, err := connection.ReadMessage()
			must(err)
			messages.WriteByte("?tb"[kind])
			must(binary.Write(&messages, binary.BigEndian, uint32(len(message))))
			messages.Write(message)
			if bytes.Equal(message, []byte{255, 0}) {
				break
			}
		}
		must(connection.WriteMessage(websocket.BinaryMessage, append([]byte{3}, success...)))
		must(connection.WriteControl(websocket.CloseMessage,
			websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second)))
	}))
	defer server.Close()
	executor, err := remotecommand.NewWebSocketExecutor(&rest.Config{}, "GET", server.URL+"/?stdin=true")
	must(err)
	must(executor.StreamWithContext(context.Background(), options(false)))
	return messages.Bytes()
}

// A relay for one connection.
type relay struct {
	address string
	mutex   sync.Mutex
	bytes   bytes.Buffer
	ended   chan struct{}
}

func newRelay(to string) *relay {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	relay := &relay{address: listener.Addr().String(), ended: make(chan struct{})}
	go func() {
		client, err := listener.Accept()
		must(err)
		listener.Close()
		server, err := net.Dial("tcp", to)
		must(err)
		go io.Copy(client, server)
		reader := bufio.NewReader(client)
		for line := ""; line != "\r\n"; {
			line, err = reader.ReadString('\n')
			must(err)
			_, err = io.WriteString(server, line)
			must(err)
		}
		io.Copy(io.MultiWriter(server, relay), reader)
		server.Close()
		close(relay.ended)
	}()
	return relay
}

func (r *relay) Write(bytes []byte) (int, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.bytes.Write(bytes)
}

func (r *relay) sent() []byte {
	<-r.ended
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.bytes.Bytes()
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
