package setting

import (
	"strings"

	"github.com/agnivade/levenshtein"
)

// Nearest returns the word that a mistyped one most probably stands for, or ""
// if none is near: the same but for case and underscores, else one that begins
// with it or the other way round, else one that few changes of a letter give.
func Nearest(mistyped string, words []string) string {
	normal := strings.ReplaceAll(strings.ToLower(mistyped), "_", "-")
	prefix, near, fewest := "", "", max(1, (len(normal)+1)/3)+1
	for _, w := range words {
		switch distance := levenshtein.ComputeDistance(normal, strings.ToLower(w)); {
		case distance == 0:
			return w
		case distance < fewest:
			near, fewest = w, distance
		}
		if prefix == "" && len(normal) > 2 && len(w) > 2 && (strings.HasPrefix(w, normal) || strings.HasPrefix(normal, w)) {
			prefix = w
		}
	}
	if near != "" && (fewest == 1 || prefix == "") {
		return near
	}
	return prefix
}
