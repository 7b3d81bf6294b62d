package config

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// setting is one field of Config.
type setting struct {
	key, standard, help string
	value               reflect.Value
}

// variable is the environment variable of a key.
func variable(key string) string {
	return "PROJECTION_" + strings.NewReplacer(".", "_", "-", "_").Replace(strings.ToUpper(key))
}

func settings(of reflect.Value) []setting {
	var all []setting
	for i := range of.NumField() {
		field := of.Type().Field(i)
		if key, ok := field.Tag.Lookup("key"); ok {
			all = append(all, setting{key, field.Tag.Get("default"), field.Tag.Get("help"), of.Field(i)})
		} else {
			all = append(all, settings(of.Field(i))...)
		}
	}
	return all
}

// set parses text. Errors do not repeat what could be a secret.
func (s setting) set(text string) error {
	switch target := s.value.Addr().Interface().(type) {
	case *string:
		*target = text
	case *Secret:
		*target = Secret(text)
	case *[]string, *[]Secret:
		return s.setList(list(text))
	case *bool:
		value, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("is %q, expected true or false", text)
		}
		*target = value
	case *int, *int64:
		value, err := strconv.ParseInt(text, 10, 64)
		if err != nil || s.value.OverflowInt(value) {
			return fmt.Errorf("is %q, expected a whole number", text)
		}
		s.value.SetInt(value)
	case *float64:
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("is %q, expected a number", text)
		}
		*target = value
	case *time.Duration:
		value, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("is %q, expected a time such as 500ms, 10s or 5m", text)
		}
		*target = value
	default:
		panic("config: no parser for " + s.key)
	}
	return nil
}

// setList sets a setting that is a list.
func (s setting) setList(items []string) error {
	switch target := s.value.Addr().Interface().(type) {
	case *[]string:
		*target = items
	case *[]Secret:
		*target = nil
		for _, item := range items {
			*target = append(*target, Secret(item))
		}
		if len(items) == 0 {
			return errors.New("is empty, which would let everybody in; leave it out for that")
		}
	}
	return nil
}

func list(text string) []string {
	var items []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// Load reads the settings for the arguments after the command's name, from them and from
// environment, which is as os.Environ returns it. It returns the arguments that are no flags, and
// flag.ErrHelp where help was asked for and written to output.
func Load(name string, arguments, environment []string, output io.Writer) (*Config, []string, error) {
	config := new(Config)
	all := settings(reflect.ValueOf(config).Elem())
	byKey := map[string]setting{}
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	given := map[string]string{}
	for _, s := range all {
		byKey[s.key] = s
		if err := s.set(s.standard); s.standard != "" && err != nil {
			panic("config: default of " + s.key + " " + err.Error())
		}
		keep := func(text string) error { given[s.key] = text; return nil }
		if s.value.Kind() == reflect.Bool {
			flags.BoolFunc(s.key, s.help, keep)
		} else {
			flags.Func(s.key, s.help, keep)
		}
	}
	file := flags.String("config", "", "")
	switch err := flags.Parse(arguments); {
	case errors.Is(err, flag.ErrHelp):
		help(output, all)
		return nil, nil, flag.ErrHelp
	case err != nil:
		return nil, nil, fmt.Errorf("%w; --help lists the flags", err)
	}
	variables, err := variables(environment, all)
	if err != nil {
		return nil, nil, err
	}
	if *file == "" {
		*file = variables[variable("config")]
	}
	if *file != "" {
		if err := readFile(*file, byKey); err != nil {
			return nil, nil, err
		}
	}
	for _, s := range all {
		if text, ok := variables[variable(s.key)]; ok {
			if err := s.set(text); err != nil {
				return nil, nil, fmt.Errorf("%s (environment variable %s) %w", s.key, variable(s.key), err)
			}
		}
		if text, ok := given[s.key]; ok {
			if err := s.set(text); err != nil {
				return nil, nil, fmt.Errorf("%s (flag --%s) %w", s.key, s.key, err)
			}
		}
	}
	if err := config.check(); err != nil {
		return nil, nil, err
	}
	return config, flags.Args(), nil
}

// ofKubernetes matches what Kubernetes sets for a service whose name begins as the settings do.
var ofKubernetes = regexp.MustCompile(`_SERVICE_(HOST|PORT)|_PORT(_|$)`)

// variables returns the environment's variables that are settings. One that looks like a setting
// and is none is misspelt.
func variables(environment []string, all []setting) (map[string]string, error) {
	known := map[string]bool{variable("config"): true}
	for _, s := range all {
		known[variable(s.key)] = true
	}
	found := map[string]string{}
	for _, entry := range environment {
		switch name, text, _ := strings.Cut(entry, "="); {
		case known[name]:
			found[name] = text
		case strings.HasPrefix(name, variable("")) && !ofKubernetes.MatchString(name):
			return nil, fmt.Errorf("environment variable %s is no setting; --help lists them", name)
		}
	}
	return found, nil
}

// readFile takes over the settings of a YAML file.
func readFile(path string, byKey map[string]setting) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	var document, second yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF) || err == nil && len(document.Content) == 0:
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", path, err)
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		return fmt.Errorf("%s:%d: a second document, expected one", path, second.Line)
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("%s: %w", path, err)
	}
	return readLevel(path, "", document.Content[0], byKey, map[string]bool{})
}

// readLevel takes over the settings whose keys begin with prefix. seen has the keys so far.
func readLevel(path, prefix string, level *yaml.Node, byKey map[string]setting, seen map[string]bool) error {
	if level.Kind != yaml.MappingNode {
		return fmt.Errorf("%s:%d: expected settings such as `listen: 127.0.0.1:8080`", path, level.Line)
	}
	for i := 0; i < len(level.Content); i += 2 {
		key, value := prefix+level.Content[i].Value, level.Content[i+1]
		if seen[key] {
			return fmt.Errorf("%s:%d: %s is there twice", path, value.Line, key)
		}
		seen[key] = true
		s, known := byKey[key]
		where := fmt.Sprintf("%s:%d: %s", path, value.Line, key)
		switch {
		case !known && value.Kind == yaml.MappingNode:
			if err := readLevel(path, key+".", value, byKey, seen); err != nil {
				return err
			}
		case !known:
			return fmt.Errorf("%s is no setting; --help lists them", where)
		case value.Kind == yaml.ScalarNode:
			if err := s.set(value.Value); err != nil {
				return fmt.Errorf("%s %w", where, err)
			}
		case value.Kind == yaml.SequenceNode && s.value.Kind() == reflect.Slice:
			var items []string
			if err := value.Decode(&items); err != nil {
				return fmt.Errorf("%s: expected a list of texts", where)
			}
			if err := s.setList(items); err != nil {
				return fmt.Errorf("%s %w", where, err)
			}
		default:
			return fmt.Errorf("%s: expected one value", where)
		}
	}
	return nil
}

func help(output io.Writer, all []setting) {
	fmt.Fprintf(output, "Settings are flags, environment variables, or keys of the YAML file that --config or\n"+
		"%s names; the first of these wins. A list is separated by commas.\n\n", variable("config"))
	for _, s := range all {
		fmt.Fprintf(output, "  --%s", s.key)
		if s.standard != "" && s.standard != "true" {
			fmt.Fprintf(output, " (%s)", s.standard)
		} else if s.standard == "true" {
			fmt.Fprint(output, " (true; switch off with =false)")
		}
		fmt.Fprintf(output, "\n        %s\n", s.help)
	}
	fmt.Fprintf(output, "\nThe variable of --limits.request-bytes is %s, and so on. In the file it is\n"+
		"`limits: {request-bytes: …}`. Put secrets into the file or the environment, not into flags,\n"+
		"which other users of the machine can read.\n", variable("limits.request-bytes"))
}
