// Package config holds the settings of the server and reads them from flags, environment
// variables and a file, in this order of precedence.
package config

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Secret is a setting that no log may show.
type Secret string

// String hides the secret, also from fmt and log/slog.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(hidden)"
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the secret from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Config is all settings. The tag `key` names a setting in the file, where dots are levels,
// and with -- before it as a flag; the environment variable is PROJECTION_ and the key in
// capitals with _ for what is no letter.
type Config struct {
	Listen              string        `key:"listen" default:"127.0.0.1:8080" help:"address that serves the API and the page"`
	AdminListen         string        `key:"admin-listen" help:"address that serves /metrics, /livez and /readyz; empty for the API's own"`
	Store               string        `key:"store" default:"lda.db" help:"the store's database"`
	Model               string        `key:"model" default:"active" help:"id of the projection that answers, or active"`
	EmbeddingModel      string        `key:"embedding-model" help:"name of the embedding model whose vectors are searched; empty for the model's own"`
	EmbeddingModelDir   string        `key:"embedding-model-dir" help:"folder of the embedding model; empty takes vectors only"`
	EmbeddingModelForce bool          `key:"embedding-model-force" help:"embed questions even with another model than the store was embedded with"`
	Page                bool          `key:"page" default:"true" help:"serve a page for trying questions at /"`
	CORSOrigins         []string      `key:"cors-origins" help:"web origins that may call the API from a browser, such as https://example.org; empty for none"`
	AllowedHosts        []string      `key:"allowed-hosts" help:"host names that requests may be for; empty for this machine's own where the address is on loopback, else for any"`
	ShutdownDelay       time.Duration `key:"shutdown.delay" default:"2s" help:"how long to go on serving, not ready, after SIGTERM"`
	ShutdownTimeout     time.Duration `key:"shutdown.timeout" default:"20s" help:"how long requests under way may take after that"`

	Reload struct {
		Watch time.Duration `key:"reload.watch" default:"10s" help:"how often to look for a newer model in the store; 0 for never"`
	}
	Search struct {
		Backend  string `key:"search.backend" default:"memory" help:"memory, or postgres for a database with pgvector"`
		MaxK     int    `key:"search.max-k" default:"1000" help:"most answers that a request may ask for"`
		MaxHits  int    `key:"search.max-hits" default:"10240" help:"most answers to all questions of a batch together"`
		Feedback string `key:"search.feedback" default:"off" help:"where feedback is written: store, postgres or off"`
	}
	Far struct {
		Threshold float64 `key:"far.threshold" default:"0.3" help:"a question whose cosine with the nearest head is below this counts as far from every head"`
		Sample    float64 `key:"far.sample" default:"1" help:"share of the questions that are looked at for this, from 0 to 1"`
	}
	Postgres struct {
		URL          Secret        `key:"postgres.url" help:"such as postgres://user:password@host:5432/database"`
		Table        string        `key:"postgres.table" default:"projection_answers" help:"table of the answers, with a schema if need be"`
		IDColumn     string        `key:"postgres.id-column" default:"answer_id" help:"column of the answers' ids, bigint"`
		TextColumn   string        `key:"postgres.text-column" default:"text" help:"column of the answers' texts"`
		VectorColumn string        `key:"postgres.vector-column" default:"embedding" help:"column of the answers' vectors"`
		Distance     string        `key:"postgres.distance" default:"cosine" help:"cosine, inner_product or l2; the index must be for the same"`
		EfSearch     int           `key:"postgres.ef-search" default:"100" help:"how thoroughly the HNSW index is searched, 1 to 1000; at least k is taken"`
		Connections  int           `key:"postgres.connections" default:"16" help:"most connections to the database"`
		Timeout      time.Duration `key:"postgres.timeout" default:"3s" help:"how long one search may take in the database"`
	}
	Limits struct {
		Concurrency  int           `key:"limits.concurrency" default:"0" help:"requests computed at the same time; 0 for 4 a processor"`
		Queue        int           `key:"limits.queue" default:"1024" help:"requests that may wait for that; more are told to come back"`
		QueueTimeout time.Duration `key:"limits.queue-timeout" default:"5s" help:"how long one may wait"`
		RequestBytes int64         `key:"limits.request-bytes" default:"4194304" help:"largest request, or message of a stream"`
		Connections  int           `key:"limits.connections" default:"4096" help:"most connections at a time; more wait to be accepted"`
		RequestTime  time.Duration `key:"limits.request-time" default:"30s" help:"how long a request may take, reading it included"`
		Streams      int           `key:"limits.streams" default:"64" help:"most streams at a time, each of which may hold one message; more are told to come back"`
		StreamTime   time.Duration `key:"limits.stream-time" default:"10m" help:"how long a stream may take"`
		Batch        int           `key:"limits.batch" default:"1024" help:"most vectors of one batch"`
		TextBytes    int           `key:"limits.text-bytes" default:"16384" help:"longest text"`
	}
	Auth struct {
		Tokens      []Secret `key:"auth.tokens" help:"bearer tokens that may use the API; empty lets everybody"`
		AdminTokens []Secret `key:"auth.admin-tokens" help:"bearer tokens that may reload too; without any, only a server on loopback reloads on request"`
	}
	TLS struct {
		Cert string `key:"tls.cert" help:"file of the certificate chain; empty serves without TLS"`
		Key  string `key:"tls.key" help:"file of its private key"`
	}
	Log struct {
		Level    string `key:"log.level" default:"info" help:"debug, info, warn or error"`
		Requests bool   `key:"log.requests" default:"true" help:"a line for each request"`
	}
	Tracing struct {
		Endpoint string  `key:"tracing.endpoint" help:"OTLP over HTTP, such as http://localhost:4318; empty for no traces"`
		Sample   float64 `key:"tracing.sample" default:"1" help:"share of the traces that begin here, from 0 to 1"`
	}
}

// check refuses values that are outside their range or do not fit together. It names keys.
func (c *Config) check() error {
	oneOf := func(key, value string, allowed ...string) error {
		if !slices.Contains(allowed, value) {
			return fmt.Errorf("%s is %q, expected %s", key, value, strings.Join(allowed, ", "))
		}
		return nil
	}
	above := func(key string, value, least int64) error {
		if value < least {
			return fmt.Errorf("%s is %d, expected at least %d", key, value, least)
		}
		return nil
	}
	share := func(key string, value float64) error {
		if !(value >= 0 && value <= 1) {
			return fmt.Errorf("%s is %g, expected a number from 0 to 1", key, value)
		}
		return nil
	}
	cosine := func(key string, value float64) error {
		if !(value >= -1 && value <= 1) {
			return fmt.Errorf("%s is %g, expected a number from -1 to 1", key, value)
		}
		return nil
	}
	endpoint := func(key, value string) error {
		if u, err := url.Parse(value); value != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
			return fmt.Errorf("%s is %q, expected a URL such as http://localhost:4318", key, value)
		}
		return nil
	}
	duration := func(key string, value time.Duration, zero bool) error {
		if value < 0 || value == 0 && !zero {
			return fmt.Errorf("%s is %s, expected a time above 0", key, value)
		}
		return nil
	}
	address := func(key, value string) error {
		if _, _, err := net.SplitHostPort(value); err != nil {
			return fmt.Errorf("%s is %q, expected host:port", key, value)
		}
		return nil
	}
	checks := []error{
		address("listen", c.Listen),
		oneOf("search.backend", c.Search.Backend, "memory", "postgres"),
		oneOf("search.feedback", c.Search.Feedback, "off", "store", "postgres"),
		oneOf("postgres.distance", c.Postgres.Distance, "cosine", "inner_product", "l2"),
		oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error"),
		above("search.max-k", int64(c.Search.MaxK), 1),
		above("search.max-hits", int64(c.Search.MaxHits), 1),
		above("postgres.ef-search", int64(c.Postgres.EfSearch), 1),
		above("postgres.connections", int64(c.Postgres.Connections), 1),
		above("limits.concurrency", int64(c.Limits.Concurrency), 0),
		above("limits.queue", int64(c.Limits.Queue), 0),
		above("limits.request-bytes", c.Limits.RequestBytes, 1024),
		above("limits.batch", int64(c.Limits.Batch), 1),
		above("limits.connections", int64(c.Limits.Connections), 1),
		above("limits.streams", int64(c.Limits.Streams), 1),
		above("limits.text-bytes", int64(c.Limits.TextBytes), 1),
		share("far.sample", c.Far.Sample),
		share("tracing.sample", c.Tracing.Sample),
		cosine("far.threshold", c.Far.Threshold),
		endpoint("tracing.endpoint", c.Tracing.Endpoint),
		duration("shutdown.delay", c.ShutdownDelay, true),
		duration("shutdown.timeout", c.ShutdownTimeout, false),
		duration("reload.watch", c.Reload.Watch, true),
		duration("postgres.timeout", c.Postgres.Timeout, false),
		duration("limits.queue-timeout", c.Limits.QueueTimeout, false),
		duration("limits.request-time", c.Limits.RequestTime, false),
		duration("limits.stream-time", c.Limits.StreamTime, false),
	}
	if c.AdminListen != "" {
		checks = append(checks, address("admin-listen", c.AdminListen))
	}
	for _, err := range checks {
		if err != nil {
			return err
		}
	}
	switch {
	case (c.TLS.Cert == "") != (c.TLS.Key == ""):
		return fmt.Errorf("tls.cert and tls.key: expected both or neither")
	case c.Search.Backend == "postgres" && c.Postgres.URL == "":
		return fmt.Errorf("postgres.url is missing, search.backend is postgres")
	case c.Search.Feedback == "postgres" && c.Postgres.URL == "":
		return fmt.Errorf("postgres.url is missing, search.feedback is postgres")
	case c.Postgres.EfSearch > 1000:
		return fmt.Errorf("postgres.ef-search is %d, expected at most 1000", c.Postgres.EfSearch)
	case c.Store == "":
		return fmt.Errorf("store is empty, expected the file of a store's database")
	}
	for _, origin := range c.CORSOrigins {
		if origin != "*" && !strings.HasPrefix(origin, "http://") && !strings.HasPrefix(origin, "https://") {
			return fmt.Errorf("cors-origins has %q, expected such as https://example.org", origin)
		}
	}
	for key, tokens := range map[string][]Secret{"auth.tokens": c.Auth.Tokens, "auth.admin-tokens": c.Auth.AdminTokens} {
		for _, token := range tokens {
			if len(token) < 16 {
				return fmt.Errorf("%s has a token of %d characters, expected at least 16", key, len(token))
			}
		}
	}
	return nil
}

// Loopback says whether only programs of this machine reach the API.
func (c *Config) Loopback() bool { return loopback(c.Listen) }

func loopback(address string) bool {
	host := Hostname(address)
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Hosts are the names that requests to an address may be for, none for any.
func (c *Config) Hosts(address string) []string {
	if len(c.AllowedHosts) > 0 || !loopback(address) {
		names := make([]string, len(c.AllowedHosts))
		for i, name := range c.AllowedHosts {
			names[i] = Hostname(name)
		}
		return names
	}
	return []string{"localhost", "127.0.0.1", "::1", Hostname(address)}
}

// Hostname is a host without its port and brackets, in lower case.
func Hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}
