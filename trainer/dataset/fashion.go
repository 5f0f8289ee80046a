package dataset

// FashionMNIST describes Fashion-MNIST (Xiao, Rasul & Vollgraf, "Fashion-MNIST:
// a Novel Image Dataset for Benchmarking Machine Learning Algorithms", 2017). The
// classes have the names that its authors gave them.
var FashionMNIST = Info{
	Name: "fashion-mnist",
	Classes: []string{
		"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
		"Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
	},
	Shape: Shape{H: 28, W: 28, C: 1},
}

// file describes one of Fashion-MNIST's four files. The known gzip packings are
// upstream's (S3 bucket and GitHub repository of fashion-mnist, with MD5 sums
// published by its authors) and Debian's, which is the same deflate stream without
// the name and time in the gzip header.
type file struct {
	name         string // of the uncompressed IDX file
	size         int    // of the uncompressed content, bytes
	sha256       string // of the uncompressed content
	gzipSize     int    // of upstream's packing, bytes
	gzipSHA256   string // of upstream's packing
	debianSHA256 string // of Debian's packing
	room         int    // of memory after the content, bytes; see [Dataset.join]
}

func (f file) gzipName() string { return f.name + ".gz" }

// Indices into files.
const (
	trainImages = iota
	trainLabels
	testImages
	testLabels
)

var files = [4]file{
	trainImages: {
		name:         "train-images-idx3-ubyte",
		size:         47040016,
		sha256:       "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
		gzipSize:     26421880,
		gzipSHA256:   "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
		debianSHA256: "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
		room:         7_840_000, // the test images
	},
	trainLabels: {
		name:         "train-labels-idx1-ubyte",
		size:         60008,
		sha256:       "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
		gzipSize:     29515,
		gzipSHA256:   "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
		debianSHA256: "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
	},
	testImages: {
		name:         "t10k-images-idx3-ubyte",
		size:         7840016,
		sha256:       "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
		gzipSize:     4422102,
		gzipSHA256:   "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
		debianSHA256: "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
	},
	testLabels: {
		name:         "t10k-labels-idx1-ubyte",
		size:         10008,
		sha256:       "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
		gzipSize:     5148,
		gzipSHA256:   "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
		debianSHA256: "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
	},
}
