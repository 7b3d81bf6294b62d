// Command server serves semantic projections: REST, Connect, gRPC and gRPC-Web on one address.
//
//	server [serve]           serves; the default
//	server migrate [--print] makes the tables in PostgreSQL, or shows the SQL
//	server load [--prune]    copies the store's answers into PostgreSQL
//	server collect           moves feedback from PostgreSQL into the store
//	server version           shows what was built
//	server help              shows the settings
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/unifyweaver/projection/bindings/go"
	"github.com/unifyweaver/projection/bindings/go/server/internal/active"
	"github.com/unifyweaver/projection/bindings/go/server/internal/config"
	"github.com/unifyweaver/projection/bindings/go/server/internal/postgres"
	"github.com/unifyweaver/projection/bindings/go/server/internal/server"
	"github.com/unifyweaver/projection/bindings/go/server/internal/store"
	"github.com/unifyweaver/projection/bindings/go/server/internal/telemetry"
)

const usage = `server serves semantic projections: REST, Connect, gRPC and gRPC-Web on one address.

  server [serve]         serves until SIGTERM or SIGINT; a second one ends it at once;
                         SIGHUP loads the active model, the certificate and the tokens
  server migrate [--print]
                         makes the table of answers and its HNSW index in PostgreSQL where
                         they are missing; --print shows the SQL instead
  server load [--prune]  copies the store's answers into that table; --prune removes those
                         that the store has not
  server collect         moves the feedback that PostgreSQL keeps into the store's query log,
                         where training finds it
  server version         shows the version, the commit and the compiler

`

func main() {
	os.Exit(run(os.Args[1:]))
}

// run returns the exit code: 0 success, 1 failure, 2 wrong usage.
func run(arguments []string) int {
	command := "serve"
	if len(arguments) > 0 && arguments[0] != "" && arguments[0][0] != '-' {
		command, arguments = arguments[0], arguments[1:]
	}
	// The flags that are no settings.
	own := map[string]string{"load": "--prune", "migrate": "--print"}[command]
	asked := own != "" && slices.Contains(arguments, own)
	if asked {
		arguments = slices.DeleteFunc(slices.Clone(arguments), func(a string) bool { return a == own })
	}
	if command == "version" && len(arguments) == 0 {
		fmt.Println("server", telemetry.ThisBuild())
		return 0
	}
	if command == "help" {
		arguments = []string{"--help"}
	}
	if slices.ContainsFunc(arguments, func(a string) bool { return a == "--help" || a == "-help" || a == "-h" }) {
		fmt.Print(usage)
	}
	c, rest, err := config.Load("server", arguments, os.Environ(), os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("unexpected argument %q; help shows the usage", rest[0])
	}
	if err != nil {
		return fail(2, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	// From then on, signals do what they do to every program.
	context.AfterFunc(ctx, stop)
	switch command {
	case "serve":
		err = serve(ctx, c, func() (*config.Config, error) {
			again, _, err := config.Load("server", arguments, os.Environ(), os.Stdout)
			return again, err
		})
	case "migrate":
		err = migrate(ctx, c, asked)
	case "load":
		err = load(ctx, c, asked)
	case "collect":
		err = collect(ctx, c)
	case "version":
		return fail(2, fmt.Errorf("version takes no settings"))
	default:
		return fail(2, fmt.Errorf("no command %q; help shows them", command))
	}
	if err != nil {
		return fail(1, err)
	}
	return 0
}

func fail(code int, err error) int {
	fmt.Fprintln(os.Stderr, "server:", err)
	return code
}

// serve serves until ctx ends. again reads the configuration anew.
func serve(ctx context.Context, c *config.Config, again func() (*config.Config, error)) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Log.Level)); err != nil {
		return fmt.Errorf("log.level: %w", err)
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	s, err := server.New(ctx, c, log)
	if err != nil {
		return err
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangups:
				c, err := again()
				if err == nil {
					err = s.Rotate(c)
				}
				if err != nil {
					log.Error("the old certificate and tokens stay", "error", err)
				}
				// What went wrong is in the log.
				_ = s.Reload("signal")
			}
		}
	}()
	return s.Run(ctx)
}

// answers names the embedding model whose vectors a database gets, and their dimension.
func answers(c *config.Config, from *projection.Store) (name string, dim int, err error) {
	models, err := from.EmbeddingModels()
	if err != nil {
		return "", 0, err
	}
	if c.EmbeddingModel == "" && len(models) != 1 {
		return "", 0, fmt.Errorf("embedding-model is missing: %s has %d embedding models", c.Store, len(models))
	}
	for _, model := range models {
		if c.EmbeddingModel == "" || c.EmbeddingModel == model.Name {
			return model.Name, model.Dimension, nil
		}
	}
	return "", 0, fmt.Errorf("embedding-model is %q, which %s does not have", c.EmbeddingModel, c.Store)
}

func migrate(ctx context.Context, c *config.Config, printing bool) error {
	from, err := store.New(c.Store).Open()
	if err != nil {
		return err
	}
	defer from.Close()
	_, dim, err := answers(c, from)
	if err != nil {
		return err
	}
	if printing {
		fmt.Print(postgres.Migration(c, dim))
		return nil
	}
	if err := postgres.Migrate(ctx, c, dim); err != nil {
		return err
	}
	fmt.Printf("table %s is there, for vectors of dimension %d by %s distance\n", c.Postgres.Table, dim, c.Postgres.Distance)
	return nil
}

// serving opens the model that the server would serve; it is nil inside if there is none yet.
func serving(c *config.Config, from *projection.Store) (*postgres.Serving, error) {
	contents, err := store.Read(from)
	if err != nil || len(contents.Models) == 0 {
		return &postgres.Serving{}, err
	}
	source := active.Source{Store: store.New(c.Store), Projection: c.Model, EmbeddingModel: c.EmbeddingModel}
	info, err := source.Choose(contents)
	if err != nil {
		return nil, err
	}
	model, err := from.ModelOfKind(info.ID, info.Kind)
	return &postgres.Serving{ID: info.ID, Model: model}, err
}

func load(ctx context.Context, c *config.Config, prune bool) error {
	from, err := store.New(c.Store).Open()
	if err != nil {
		return err
	}
	defer from.Close()
	name, dim, err := answers(c, from)
	if err != nil {
		return err
	}
	serving, err := serving(c, from)
	if err != nil {
		return err
	}
	defer serving.Model.Close()
	loaded, err := postgres.Load(ctx, c, from, name, dim, serving, prune, func(done, total int) {
		fmt.Fprintf(os.Stderr, "%d of %d answers\n", done, total)
	})
	if err != nil {
		return err
	}
	fmt.Printf("%d answers written, %d removed, in table %s\n", loaded.Written, loaded.Removed, c.Postgres.Table)
	return nil
}

func collect(ctx context.Context, c *config.Config) error {
	collected, dropped, err := postgres.Collect(ctx, c, store.New(c.Store))
	if err != nil {
		return err
	}
	fmt.Printf("%d entries collected, %d dropped because the store does not have their answer\n", collected, dropped)
	return nil
}
