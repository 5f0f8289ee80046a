package setting

import (
	"strings"

	"github.com/agnivade/levenshtein"
)

// Nearest returns the word that was most probably meant by a mistyped one, or "" if
// none is similar. It prefers a word that differs only in case and underscores, or
// in one letter, then a word of which one is a prefix of the other, then one that
// differs in few letters.
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
