module github.com/unifyweaver/projection/bindings/go

go 1.24
