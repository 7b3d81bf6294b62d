package server

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"
)

// certificate is the server's, which can be replaced while it serves.
type certificate struct {
	atomic.Pointer[tls.Certificate]
}

// load reads the certificate and its key. If they are unusable, the old ones stay.
func (c *certificate) load(certFile, keyFile string) error {
	loaded, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return fmt.Errorf("tls.cert, tls.key: %w", err)
	}
	c.Store(&loaded)
	return nil
}

// config makes TLS settings that always use the current certificate.
func (c *certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return c.Load(), nil
	}}
}
