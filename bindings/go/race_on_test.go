//go:build race

package projection_test

// raceEnabled: the race detector makes calls slower and memory larger.
const raceEnabled = true
