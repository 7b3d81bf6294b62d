package limit

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"
)

func TestIdleConnectionsMakeRoom(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	connections := NewConnections(2)
	hold := make(chan struct{})
	server := &http.Server{ConnState: connections.State, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			<-hold
		}
		fmt.Fprint(w, "ok")
	})}
	go func() { _ = server.Serve(connections.Listener(listener)) }()
	defer server.Close()
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	ask := func(conn net.Conn, path string) error {
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
			return err
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err == nil {
			response.Body.Close()
		}
		return err
	}
	// The server hears of a connection's state a little after the client has its answer.
	waitForIdle := func(expected int) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			connections.mu.Lock()
			idle := len(connections.idle)
			connections.mu.Unlock()
			if idle == expected {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d connections are idle, expected %d", idle, expected)
			}
		}
	}
	// One connection says nothing, one has been answered: both are idle, and both give way.
	silent, answered := dial(), dial()
	if err := ask(answered, "/"); err != nil {
		t.Fatal(err)
	}
	waitForIdle(2)
	third, fourth := dial(), dial()
	for _, conn := range []net.Conn{third, fourth} {
		if err := ask(conn, "/"); err != nil {
			t.Errorf("a new connection was kept out: %v", err)
		}
	}
	for name, conn := range map[string]net.Conn{"silent": silent, "answered": answered} {
		if ask(conn, "/") == nil {
			t.Errorf("the %s connection was kept beyond the limit", name)
		}
	}
	// Busy connections are never cut off: the next one waits for them.
	busy := make(chan error, 2)
	for _, conn := range []net.Conn{third, fourth} {
		go func() { busy <- ask(conn, "/hold") }()
	}
	waitForIdle(0)
	fifth := dial()
	waited := make(chan error, 1)
	go func() { waited <- ask(fifth, "/") }()
	close(hold)
	for range 2 {
		if err := <-busy; err != nil {
			t.Errorf("a busy connection was cut off: %v", err)
		}
	}
	if err := <-waited; err != nil {
		t.Errorf("a connection that waited was not served: %v", err)
	}
}
