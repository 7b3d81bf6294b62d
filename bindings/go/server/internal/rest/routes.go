// Package rest serves the API as REST. Paths come from the API's definition; requests are
// passed on to the Connect handlers, whose JSON is that of REST too.
package rest

import (
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/unifyweaver/projection/server/internal/gen/projection/v1"
)

// Route is a method that has a path.
type Route struct {
	Verb, Path string
	// Parameters are the fields in the path.
	Parameters []string
	Method     protoreflect.MethodDescriptor
}

// Procedure is the path of the method for Connect and gRPC.
func (r Route) Procedure() string {
	return "/" + string(r.Method.Parent().FullName()) + "/" + string(r.Method.Name())
}

var parameter = regexp.MustCompile(`\{(\w+)\}`)

// Routes returns all routes of the API, sorted by path.
func Routes() []Route {
	var routes []Route
	services := pb.File_projection_v1_projection_proto.Services()
	for i := range services.Len() {
		methods := services.Get(i).Methods()
		for j := range methods.Len() {
			method := methods.Get(j)
			route, _ := proto.GetExtension(method.Options(), pb.E_Route).(*pb.Route)
			if route == nil {
				continue
			}
			var parameters []string
			for _, match := range parameter.FindAllStringSubmatch(route.Path, -1) {
				parameters = append(parameters, match[1])
			}
			routes = append(routes, Route{route.Method, route.Path, parameters, method})
		}
	}
	slices.SortFunc(routes, func(a, b Route) int { return strings.Compare(a.Path, b.Path) })
	return routes
}
