// Command openapi writes the OpenAPI document of the REST routes, made from the API's
// definition, to its standard output.
package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	pb "github.com/unifyweaver/projection/bindings/go/server/internal/gen/projection/v1"
	"github.com/unifyweaver/projection/bindings/go/server/internal/rest"
)

// object keeps JSON short to write; encoding/json sorts its keys.
type object = map[string]any

// security is that of every method: open or by token, as the server is configured.
var security = []object{{}, {"bearer": []string{}}}

// openAI describes the part of OpenAI's API that the server speaks.
//
//go:embed openai.json
var openAI []byte

// addOpenAI adds those paths and schemas, and what all of its methods have in common.
func addOpenAI(paths, schemas object) {
	var part struct {
		Paths   map[string]map[string]object
		Schemas object
	}
	if err := json.Unmarshal(openAI, &part); err != nil {
		panic("openapi: openai.json: " + err.Error())
	}
	maps.Copy(schemas, part.Schemas)
	for path, operations := range part.Paths {
		for _, operation := range operations {
			operation["tags"], operation["security"] = []string{"OpenAI"}, security
			operation["responses"].(object)["default"] = content("An error.", object{"$ref": "#/components/schemas/OpenAIError"})
		}
		paths[path] = operations
	}
}

func main() {
	comments, err := readComments(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "openapi:", err)
		os.Exit(1)
	}
	text, err := json.MarshalIndent(document(comments), "", "  ")
	if err != nil {
		fmt.Fprintln(os.Stderr, "openapi:", err)
		os.Exit(1)
	}
	fmt.Println(string(text))
}

// readComments takes the comments out of a descriptor set with source information, which the
// generated code has not.
func readComments(arguments []string) (map[protoreflect.FullName]string, error) {
	if len(arguments) != 1 {
		return nil, fmt.Errorf("expected the file of a descriptor set")
	}
	content, err := os.ReadFile(arguments[0])
	if err != nil {
		return nil, err
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(content, &set); err != nil {
		return nil, err
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		return nil, err
	}
	comments := map[protoreflect.FullName]string{}
	add := func(d protoreflect.Descriptor) {
		text := d.ParentFile().SourceLocations().ByDescriptor(d).LeadingComments
		comments[d.FullName()] = strings.Join(strings.Fields(text), " ")
	}
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		for i := range file.Messages().Len() {
			message := file.Messages().Get(i)
			add(message)
			for j := range message.Fields().Len() {
				add(message.Fields().Get(j))
			}
		}
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			add(service)
			for j := range service.Methods().Len() {
				add(service.Methods().Get(j))
			}
		}
		return true
	})
	return comments, nil
}

func document(comments map[protoreflect.FullName]string) object {
	paths, schemas := object{}, object{"Error": errorSchema()}
	for _, route := range rest.Routes() {
		method := route.Method
		if method == nil {
			continue
		}
		operation := object{
			"operationId": string(method.Name()),
			"tags":        []string{string(method.Parent().Name())},
			"summary":     comments[method.FullName()],
			"responses": object{
				"200":     content("The answer.", reference(method.Output(), schemas, comments)),
				"default": content("An error.", object{"$ref": "#/components/schemas/Error"}),
			},
			"security": security,
		}
		var parameters []object
		for _, name := range route.Parameters {
			field := method.Input().Fields().ByName(protoreflect.Name(name))
			parameters = append(parameters, object{"name": name, "in": "path", "required": true,
				"description": comments[field.FullName()], "schema": single(field, schemas, comments)})
		}
		if parameters != nil {
			operation["parameters"] = parameters
		}
		if route.Verb == "POST" {
			body := content("", reference(method.Input(), schemas, comments))
			delete(body, "description")
			body["required"] = true
			operation["requestBody"] = body
		}
		path, _ := paths[route.Path].(object)
		if path == nil {
			path = object{}
			paths[route.Path] = path
		}
		path[strings.ToLower(route.Verb)] = operation
	}
	addOpenAI(paths, schemas)
	return object{
		"openapi": "3.1.0",
		"info": object{"title": "Semantic projections", "version": "v1",
			"description": "Embeds questions, projects them to where their answers lie, and finds those. " +
				"The same methods are served as Connect, gRPC and gRPC-Web."},
		"paths": paths,
		"components": object{"schemas": schemas,
			"securitySchemes": object{"bearer": object{"type": "http", "scheme": "bearer"}}},
	}
}

func content(description string, schema object) object {
	return object{"description": description, "content": object{"application/json": object{"schema": schema}}}
}

// reference names the schema of a message, and adds it where it is new.
func reference(message protoreflect.MessageDescriptor, schemas object, comments map[protoreflect.FullName]string) object {
	name := string(message.Name())
	if _, known := schemas[name]; !known {
		schema := object{"type": "object", "additionalProperties": false}
		schemas[name] = schema
		if text := comments[message.FullName()]; text != "" {
			schema["description"] = text
		}
		properties := object{}
		for i := range message.Fields().Len() {
			field := message.Fields().Get(i)
			property := single(field, schemas, comments)
			if field.IsList() {
				property = object{"type": "array", "items": property}
			}
			add(property, field.Options(), pb.E_FieldSchema)
			if text := comments[field.FullName()]; text != "" {
				property["description"] = text
			}
			properties[field.JSONName()] = property
		}
		schema["properties"] = properties
		add(schema, message.Options(), pb.E_MessageSchema)
	}
	return object{"$ref": "#/components/schemas/" + name}
}

// add adds what an option of the definition says, in JSON.
func add(schema object, options proto.Message, option protoreflect.ExtensionType) {
	text, _ := proto.GetExtension(options, option).(string)
	if text == "" {
		return
	}
	if err := json.Unmarshal([]byte(text), &schema); err != nil {
		panic("openapi: " + text + ": " + err.Error())
	}
}

// single is the schema of one value of a field, as JSON for Protocol Buffers has it.
func single(field protoreflect.FieldDescriptor, schemas object, comments map[protoreflect.FullName]string) object {
	switch field.Kind() {
	case protoreflect.MessageKind:
		if field.Message().FullName() == "google.protobuf.Struct" {
			return object{"type": "object"}
		}
		return reference(field.Message(), schemas, comments)
	case protoreflect.BoolKind:
		return object{"type": "boolean"}
	case protoreflect.StringKind:
		return object{"type": "string"}
	case protoreflect.Int32Kind:
		return object{"type": "integer", "format": "int32"}
	case protoreflect.Int64Kind:
		return object{"type": []string{"string", "integer"}, "format": "int64", "pattern": "^-?[0-9]+$"}
	case protoreflect.FloatKind:
		return object{"type": "number", "format": "float"}
	case protoreflect.DoubleKind:
		return object{"type": "number", "format": "double"}
	default:
		panic("openapi: no schema for fields of kind " + field.Kind().String())
	}
}

func errorSchema() object {
	text := func(description string) object { return object{"type": "string", "description": description} }
	return object{
		"type": "object", "description": "An error, as the Connect protocol has it.", "required": []string{"code"},
		"properties": object{
			"code":    text("Such as invalid_argument or unavailable."),
			"message": text("For people: the argument, what was expected and what was found."),
			"details": object{"type": "array", "items": object{"type": "object", "properties": object{
				"type":  text("google.rpc.ErrorInfo, or google.rpc.RetryInfo."),
				"value": text("The detail as Protocol Buffers, in base64."),
				"debug": object{"type": "object", "description": "The detail as JSON: reason, such as DIMENSION_MISMATCH, is for programs."},
			}}},
		},
	}
}
