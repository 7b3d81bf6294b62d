package telemetry

import (
	"cmp"
	"fmt"
	"runtime/debug"

	"github.com/unifyweaver/projection/bindings/go"
)

// Build is what is running.
type Build struct {
	// Version is that of the engine, and Go that of the compiler.
	Version, Go string
	// Revision is the commit that the program was built from, with -dirty after it if files had
	// changed since; unknown if the build did not record it.
	Revision string
}

// ThisBuild reads what the compiler recorded.
func ThisBuild() Build {
	build := Build{Version: projection.Version()}
	var changed bool
	if info, ok := debug.ReadBuildInfo(); ok {
		build.Go = info.GoVersion
		for _, setting := range info.Settings {
			switch setting.Key {
			case "vcs.revision":
				build.Revision = setting.Value
			case "vcs.modified":
				changed = setting.Value == "true"
			}
		}
	}
	if build.Revision != "" && changed {
		build.Revision += "-dirty"
	}
	build.Revision = cmp.Or(build.Revision, "unknown")
	return build
}

// String is for people.
func (b Build) String() string {
	return fmt.Sprintf("%s, commit %s, %s", b.Version, b.Revision, b.Go)
}
