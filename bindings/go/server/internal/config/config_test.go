package config

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestPrecedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "server.yaml")
	content := "store: file.db\nmodel: 3\nlimits: {queue: 1, batch: 2, text-bytes: 3}\ncors-origins: [https://a.example, https://b.example]\n" +
		"auth:\n  tokens:\n    - sixteen-letters-a\n    - sixteen-letters-b\n"
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	c, rest, err := Load("server", []string{"--config=" + file, "--limits.queue=30", "--page=false", "more"},
		[]string{"PROJECTION_LIMITS_QUEUE=20", "PROJECTION_LIMITS_BATCH=20", "PROJECTION_RELOAD_WATCH=1m"}, os.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	if c.Limits.Queue != 30 || c.Limits.Batch != 20 || c.Limits.TextBytes != 3 || c.Store != "file.db" || c.Model != "3" ||
		c.Page || c.Reload.Watch != time.Minute || c.Listen != "127.0.0.1:8080" {
		t.Errorf("the settings are %+v", c)
	}
	if !reflect.DeepEqual(c.CORSOrigins, []string{"https://a.example", "https://b.example"}) || len(c.Auth.Tokens) != 2 || !reflect.DeepEqual(rest, []string{"more"}) {
		t.Errorf("the lists are %v and %d tokens, the rest %v", c.CORSOrigins, len(c.Auth.Tokens), rest)
	}
	if shown := fmt.Sprintf("%v %+v %#v", c.Auth, c.Auth, c.Auth.Tokens); strings.Contains(shown, "sixteen") {
		t.Errorf("a token is shown: %s", shown)
	}
}

func TestErrorsNameTheKey(t *testing.T) {
	for content, says := range map[string]string{
		"listen: [1]":                         "server.yaml:1: listen: expected one value",
		"listen":                              "expected settings",
		"\nlimits: {quue: 1}":                 "server.yaml:2: limits.quue is no setting",
		"limits: 3":                           "server.yaml:1: limits is no setting",
		"limits: {queue: x}":                  `limits.queue is "x", expected a whole number`,
		"limits: {queue: -1}":                 "limits.queue is -1, expected at least 0",
		"far: {sample: 2}":                    "far.sample is 2, expected a number from 0 to 1",
		"page: perhaps":                       `page is "perhaps", expected true or false`,
		"listen: nowhere":                     `listen is "nowhere", expected host:port`,
		"cors-origins: [example.org]":         `cors-origins has "example.org"`,
		"a: b: c":                             "server.yaml",
		"model: 1\nmodel: 2":                  "server.yaml:2: model is there twice",
		"limits.queue: 1\nlimits: {queue: 2}": "server.yaml:2: limits.queue is there twice",
		"page: true\n---\npage: false":        "server.yaml:2: a second document, expected one",
		"far: {threshold: nan}":               "far.threshold is NaN, expected a number from -1 to 1",
		"tracing: {endpoint: foo}":            `tracing.endpoint is "foo", expected a URL`,
		"auth: {tokens: ''}":                  "auth.tokens is empty",
		"auth: {tokens: []}":                  "auth.tokens is empty",
	} {
		file := filepath.Join(t.TempDir(), "server.yaml")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := Load("server", nil, []string{"PROJECTION_CONFIG=" + file}, os.Stdout)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q gave %v, expected %q", content, err, says)
		}
	}
}

func TestTokensAndVariables(t *testing.T) {
	file := filepath.Join(t.TempDir(), "server.yaml")
	if err := os.WriteFile(file, []byte("# comment\nauth: {tokens: ['one,token,with,commas']}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	others := []string{"HOME=/", "PROJECTION_SERVICE_HOST=10.0.0.1", "PROJECTION_PORT_8080_TCP_ADDR=10.0.0.1"}
	c, _, err := Load("server", []string{"--config=" + file}, others, os.Stdout)
	if err != nil || len(c.Auth.Tokens) != 1 || c.Auth.Tokens[0] != "one,token,with,commas" {
		t.Errorf("a token with commas became %d tokens, %v", len(c.Auth.Tokens), err)
	}
	for variable, says := range map[string]string{
		"PROJECTION_LIMITS_QUUE=1": "PROJECTION_LIMITS_QUUE is no setting",
		"PROJECTION_AUTH_TOKENS=":  "PROJECTION_AUTH_TOKENS) is empty",
	} {
		if _, _, err = Load("server", nil, []string{variable}, os.Stdout); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s gave %v, expected %q", variable, err, says)
		}
	}
}

func TestHelpNamesEverySetting(t *testing.T) {
	var output strings.Builder
	if _, _, err := Load("server", []string{"--help"}, nil, &output); err != flag.ErrHelp {
		t.Fatal(err)
	}
	for _, s := range settings(reflect.ValueOf(new(Config)).Elem()) {
		if !strings.Contains(output.String(), "--"+s.key) || s.help == "" {
			t.Errorf("the help does not explain %s", s.key)
		}
	}
}

func TestLoopback(t *testing.T) {
	for listen, loopback := range map[string]bool{"127.0.0.1:1": true, "localhost:1": true, "[::1]:1": true, ":1": false, "0.0.0.0:1": false, "10.0.0.1:1": false} {
		if c := (&Config{Listen: listen}); c.Loopback() != loopback {
			t.Errorf("%s is loopback: %t", listen, !loopback)
		}
	}
}
