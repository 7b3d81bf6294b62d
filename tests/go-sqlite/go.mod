module github.com/unifyweaver/projection/tests/go-sqlite

go 1.24

require (
	github.com/mattn/go-sqlite3 v1.14.44
	github.com/unifyweaver/projection/bindings/go v0.0.0
)

replace github.com/unifyweaver/projection/bindings/go => ../../bindings/go
