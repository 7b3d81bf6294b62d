package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	pb "github.com/unifyweaver/projection/bindings/go/server/internal/gen/projection/v1"
	"github.com/unifyweaver/projection/bindings/go/server/internal/gen/projection/v1/projectionv1connect"
)

// certificate writes a certificate for this machine, and gives a pool that trusts it.
func certificate(t *testing.T) (certFile, keyFile string, trusted *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	certFile, keyFile = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for file, content := range map[string][]byte{certFile: cert, keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trusted = x509.NewCertPool()
	trusted.AppendCertsFromPEM(cert)
	return certFile, keyFile, trusted
}

func TestTLS(t *testing.T) {
	cert, key, trusted := certificate(t)
	s := start(t, "--store="+copyStore(t), "--tls.cert="+cert, "--tls.key="+key)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	client := projectionv1connect.NewProjectionServiceClient(&http.Client{Transport: transport}, "https://"+s.Addr(), connect.WithGRPC())
	if _, err := client.Search(t.Context(), connect.NewRequest(&pb.SearchRequest{Vector: sample(1)})); err != nil {
		t.Error(err)
	}
	old := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}}
	if response, err := (&http.Client{Transport: old}).Get("https://" + s.Addr() + "/livez"); err == nil {
		response.Body.Close()
		t.Error("TLS 1.1 is spoken")
	}
}

func TestRotation(t *testing.T) {
	cert, key, trusted := certificate(t)
	database := copyStore(t)
	s := start(t, "--store="+database, "--tls.cert="+cert, "--tls.key="+key, "--auth.tokens=the-old-token-of-all")
	otherCert, otherKey, otherTrusted := certificate(t)
	status := func(token string, pool *x509.CertPool) int {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
		defer transport.CloseIdleConnections()
		request, err := http.NewRequest("GET", "https://"+s.Addr()+"/v1/projections", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := (&http.Client{Transport: transport}).Do(request)
		if err != nil {
			return 0
		}
		response.Body.Close()
		return response.StatusCode
	}
	rotate := func(cert, key string) error {
		return s.Rotate(configure(t, "--store="+database, "--tls.cert="+cert, "--tls.key="+key, "--auth.tokens=the-new-token-of-all"))
	}
	if err := rotate(os.DevNull, key); err == nil {
		t.Error("an empty certificate was taken")
	}
	if found := status("the-old-token-of-all", trusted); found != 200 {
		t.Errorf("after a failed rotation, the status is %d", found)
	}
	if err := rotate(otherCert, otherKey); err != nil {
		t.Fatal(err)
	}
	if status("the-new-token-of-all", otherTrusted) != 200 || status("the-old-token-of-all", otherTrusted) != 401 || status("the-new-token-of-all", trusted) != 0 {
		t.Error("the old certificate or token still serves")
	}
}

func TestAdminListen(t *testing.T) {
	admin := freeAddress(t)
	s := start(t, "--store="+copyStore(t), "--admin-listen="+admin)
	for _, path := range []string{"/metrics", "/livez", "/readyz"} {
		for base, want := range map[string]int{s.url: 404, "http://" + admin: 200} {
			response, err := http.Get(base + path)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != want {
				t.Errorf("%s%s gave %d, expected %d", base, path, response.StatusCode, want)
			}
		}
	}
}

func TestHealthAndReflection(t *testing.T) {
	s := start(t, "--store="+copyStore(t))
	health := connect.NewClient[healthpb.HealthCheckRequest, healthpb.HealthCheckResponse](h2c(t), s.url+"/grpc.health.v1.Health/Check", connect.WithGRPC())
	for _, service := range []string{"", projectionv1connect.ProjectionServiceName, projectionv1connect.ModelServiceName} {
		response, err := health.CallUnary(t.Context(), connect.NewRequest(&healthpb.HealthCheckRequest{Service: service}))
		if err != nil || response.Msg.Status != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("the health of %q is %v, %v", service, response, err)
		}
	}
	if _, err := health.CallUnary(t.Context(), connect.NewRequest(&healthpb.HealthCheckRequest{Service: "x"})); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("the health of an unknown service gave %v", err)
	}
	stream := grpcreflect.NewClient(h2c(t), s.url, connect.WithGRPC()).NewStream(t.Context())
	services, err := stream.ListServices()
	_, _ = stream.Close()
	if err != nil || len(services) != 2 || !strings.HasPrefix(string(services[0]), "projection.v1.") {
		t.Errorf("the services are %v, %v", services, err)
	}
}

func TestHealthIsWatched(t *testing.T) {
	s := start(t, "--store="+copyStore(t), "--shutdown.delay=3s", "--limits.request-time=1s")
	health := connect.NewClient[healthpb.HealthCheckRequest, healthpb.HealthCheckResponse](h2c(t), s.url+"/grpc.health.v1.Health/Watch", connect.WithGRPC())
	watch := func(service string) *connect.ServerStreamForClient[healthpb.HealthCheckResponse] {
		stream, err := health.CallServerStream(t.Context(), connect.NewRequest(&healthpb.HealthCheckRequest{Service: service}))
		if err != nil {
			t.Fatal(err)
		}
		return stream
	}
	next := func(stream *connect.ServerStreamForClient[healthpb.HealthCheckResponse], want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		if !stream.Receive() || stream.Msg().Status != want {
			t.Errorf("the health is %v, %v, expected %v", stream.Msg(), stream.Err(), want)
		}
	}
	unknown := watch("x")
	next(unknown, healthpb.HealthCheckResponse_SERVICE_UNKNOWN)
	_ = unknown.Close()
	stream := watch("")
	next(stream, healthpb.HealthCheckResponse_SERVING)
	// It outlives the time of a request.
	time.Sleep(7 * time.Second)
	stopped := make(chan error)
	go func() { stopped <- s.stop() }()
	next(stream, healthpb.HealthCheckResponse_NOT_SERVING)
	if err := <-stopped; err != nil || stream.Receive() || stream.Err() != nil {
		t.Errorf("the watch ended with %v, the server with %v", stream.Err(), err)
	}
}
