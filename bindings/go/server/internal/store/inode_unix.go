//go:build unix

package store

import (
	"fmt"
	"os"
	"syscall"
)

func inode(info os.FileInfo) string {
	if file, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf(":%d:%d", file.Dev, file.Ino)
	}
	return ""
}
