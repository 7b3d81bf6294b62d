// Package auth checks bearer tokens.
package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
	"sync/atomic"

	"connectrpc.com/connect"

	"github.com/unifyweaver/projection/bindings/go/server/internal/config"
	"github.com/unifyweaver/projection/bindings/go/server/internal/failure"
)

// Guard knows the tokens, which can be replaced while it is in use.
type Guard struct{ current atomic.Pointer[access] }

type access struct {
	tokens, admins [][sha256.Size]byte
	// Whether somebody without a token may reload.
	openAdmin bool
}

// New makes a guard; see Replace.
func New(tokens, admins []config.Secret, loopback bool) *Guard {
	g := &Guard{}
	g.Replace(tokens, admins, loopback)
	return g
}

// Replace sets the tokens that are accepted from now on. Without tokens everybody may use the API;
// without admin tokens too, everybody may reload where only this machine's programs reach the
// server.
func (g *Guard) Replace(tokens, admins []config.Secret, loopback bool) {
	g.current.Store(&access{digests(tokens), digests(admins), len(admins) == 0 && len(tokens) == 0 && loopback})
}

// digests have one length, so that comparing them takes the same time for every guess.
func digests(tokens []config.Secret) [][sha256.Size]byte {
	all := make([][sha256.Size]byte, len(tokens))
	for i, token := range tokens {
		all[i] = sha256.Sum256([]byte(token))
	}
	return all
}

func among(digest [sha256.Size]byte, all [][sha256.Size]byte) bool {
	found := 0
	for i := range all {
		found |= subtle.ConstantTimeCompare(digest[:], all[i][:])
	}
	return found == 1
}

type adminKey struct{}

// Middleware refuses requests without a valid token. fail writes the error in the request's
// own protocol.
func (g *Guard) Middleware(fail func(http.ResponseWriter, *http.Request, *connect.Error), next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		current := g.current.Load()
		admin := current.openAdmin
		if len(current.tokens)+len(current.admins) > 0 {
			scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
			digest := sha256.Sum256([]byte(strings.TrimSpace(token)))
			bearer := strings.EqualFold(scheme, "bearer")
			admin = bearer && among(digest, current.admins)
			if len(current.tokens) > 0 && !admin && !(bearer && among(digest, current.tokens)) {
				w.Header().Set("WWW-Authenticate", "Bearer")
				fail(w, r, failure.New(connect.CodeUnauthenticated, failure.Unauthenticated, "expected a valid bearer token"))
				return
			}
		}
		if admin {
			r = r.WithContext(context.WithValue(r.Context(), adminKey{}, true))
		}
		next.ServeHTTP(w, r)
	})
}

// Admin refuses requests that may not reload.
func Admin(ctx context.Context) error {
	if ctx.Value(adminKey{}) == nil {
		return failure.New(connect.CodePermissionDenied, failure.PermissionDenied,
			"expected an admin token (auth.admin-tokens)")
	}
	return nil
}
