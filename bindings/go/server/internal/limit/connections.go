package limit

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

// Connections keeps the number of open connections below a limit. Where a new one arrives at the
// limit, the connection that has been idle for longest is closed, so that idle clients keep
// nobody out, health probes above all. Only where all are busy does the new one wait.
type Connections struct {
	limit int

	mu    sync.Mutex
	freed *sync.Cond
	open  int
	// idle has the connections without a request, and since when.
	idle map[net.Conn]time.Time
}

// NewConnections makes a limit that admits at most limit connections at a time.
func NewConnections(limit int) *Connections {
	c := &Connections{limit: limit, idle: map[net.Conn]time.Time{}}
	c.freed = sync.NewCond(&c.mu)
	return c
}

// Listener returns a listener whose connections count towards the limit. The server that accepts
// them must report their state to State.
func (c *Connections) Listener(of net.Listener) net.Listener { return &countingListener{of, c} }

// State is for http.Server.ConnState.
func (c *Connections) State(conn net.Conn, state http.ConnState) {
	if encrypted, ok := conn.(*tls.Conn); ok {
		conn = encrypted.NetConn()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if state == http.StateNew || state == http.StateIdle {
		c.idle[conn] = time.Now()
		c.freed.Signal()
	} else {
		delete(c.idle, conn)
	}
}

// admit waits until there is room for one more connection.
func (c *Connections) admit() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.open >= c.limit {
		var oldest net.Conn
		for conn, since := range c.idle {
			if oldest == nil || since.Before(c.idle[oldest]) {
				oldest = conn
			}
		}
		if oldest == nil {
			c.freed.Wait()
			continue
		}
		delete(c.idle, oldest)
		// Closing takes the lock to count the connection out.
		c.mu.Unlock()
		_ = oldest.Close()
		c.mu.Lock()
	}
	c.open++
}

type countingListener struct {
	net.Listener
	connections *Connections
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.connections.admit()
	return &countedConn{Conn: conn, connections: l.connections}, nil
}

type countedConn struct {
	net.Conn
	connections *Connections
	once        sync.Once
}

func (c *countedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.connections.mu.Lock()
		defer c.connections.mu.Unlock()
		delete(c.connections.idle, c)
		c.connections.open--
		c.connections.freed.Signal()
	})
	return err
}
