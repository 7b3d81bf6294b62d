// Package page serves a page for trying questions. It needs nothing from elsewhere.
package page

import (
	"embed"
	"net/http"
)

//go:embed index.html page.css page.js
var files embed.FS

// Register adds the page to mux.
func Register(mux *http.ServeMux) {
	serve := http.FileServerFS(files)
	for path, file := range map[string]string{"/{$}": "/", "/page.css": "/page.css", "/page.js": "/page.js"} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			header := w.Header()
			header.Set("Content-Security-Policy", "default-src 'none'; img-src data:; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
			header.Set("X-Content-Type-Options", "nosniff")
			header.Set("Referrer-Policy", "no-referrer")
			header.Set("Cache-Control", "no-cache")
			r.URL.Path = file
			serve.ServeHTTP(w, r)
		})
	}
}
