module github.com/unifyweaver/projection

go 1.24
