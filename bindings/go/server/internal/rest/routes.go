// Package rest serves the API as REST. Paths come from the API's definition; requests are
// passed on to the Connect handlers, whose JSON is that of REST too.
package rest

import (
	"net/http"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/unifyweaver/projection/bindings/go/server/internal/gen/projection/v1"
	"github.com/unifyweaver/projection/bindings/go/server/internal/openai"
)

// Route is a method that has a path.
type Route struct {
	Verb, Path string
	// Parameters are the fields in the path.
	Parameters []string
	// Procedure is the path of the method for Connect and, unless it is one of OpenAI's API, for gRPC.
	Procedure string
	// Method defines it; nil for OpenAI's API.
	Method protoreflect.MethodDescriptor
}

var parameter = regexp.MustCompile(`\{(\w+)\}`)

// Routes returns all routes of the API, sorted by path.
func Routes() []Route {
	routes := []Route{
		{Verb: http.MethodPost, Path: "/v1/embeddings", Procedure: openai.CreateEmbeddings},
		{Verb: http.MethodGet, Path: "/v1/models", Procedure: openai.ListModels},
		{Verb: http.MethodGet, Path: "/v1/models/{model...}", Parameters: []string{"model"}, Procedure: openai.RetrieveModel},
	}
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
			procedure := "/" + string(method.Parent().FullName()) + "/" + string(method.Name())
			routes = append(routes, Route{route.Method, route.Path, parameters, procedure, method})
		}
	}
	slices.SortFunc(routes, func(a, b Route) int { return strings.Compare(a.Path, b.Path) })
	return routes
}
