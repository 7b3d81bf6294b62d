module github.com/unifyweaver/projection/examples/go

go 1.24

require github.com/unifyweaver/projection/bindings/go v0.0.0

replace github.com/unifyweaver/projection/bindings/go => ../../bindings/go
