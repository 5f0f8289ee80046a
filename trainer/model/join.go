package model

// join turns layers into blocks, the units that write ops. Neighbours that one op
// can compute become one block. The results are the same bits, except those of
// batch-norm: the convolution before it computes its statistics, in a different
// order of the same numbers.
func join(layers []namedLayer) sequence {
	var blocks sequence
	for len(layers) > 0 {
		b, taken := joinFirst(layers)
		blocks = append(blocks, b)
		layers = layers[taken:]
	}
	return blocks
}

// separate makes a block of every layer.
func separate(layers []namedLayer) sequence {
	var blocks sequence
	for _, l := range layers {
		b, _ := joinFirst([]namedLayer{l})
		if r, ok := b.(*residualBlock); ok {
			r.body, r.shortcut = separate(l.body), separate(l.shortcut)
		}
		blocks = append(blocks, b)
	}
	return blocks
}

// joinFirst returns the block of the first layer and of those that join it,
// and how many these are.
func joinFirst(layers []namedLayer) (b block, taken int) {
	rest := following(layers[1:])
	switch l := layers[0].Layer.(type) {
	case Conv:
		return joinConv(l, layers)
	case BatchNorm:
		return &normBlock{name: layers[0].name}, 1
	case Activation:
		if drop, ok := rest.next().(Dropout); ok && l.Function == ReLU {
			return &reluBlock{name: layers[0].name, dropout: drop.P}, 2
		}
		if l.Function == ReLU {
			return &reluBlock{name: layers[0].name}, 1
		}
		return &smoothBlock{name: layers[0].name, function: l.Function}, 1
	case MaxPool:
		return &maxPoolBlock{name: layers[0].name, kernel: l.Kernel, stride: strideOf(l.Stride, l.Kernel)}, 1
	case AvgPool:
		return &avgPoolBlock{name: layers[0].name, kernel: l.Kernel, stride: strideOf(l.Stride, l.Kernel)}, 1
	case Flatten:
		return &flattenBlock{}, 1
	case Dropout:
		return &dropoutBlock{name: layers[0].name, p: l.P}, 1
	case Linear:
		return &linearBlock{name: layers[0].name, layer: l}, 1
	case Residual:
		r := &residualBlock{name: layers[0].name, body: join(layers[0].body), shortcut: join(layers[0].shortcut)}
		if r.relu = rest.next() == Layer(Activation{ReLU}); r.relu {
			return r, 2
		}
		return r, 1
	}
	panic("model: a layer that Check does not know")
}

// joinConv joins a convolution with batch-norm; then ReLU; then a max-pool
// whose windows lie side by side.
func joinConv(l Conv, layers []namedLayer) (b block, taken int) {
	conv := convolution{name: layers[0].name, layer: l}
	rest := following(layers[1:])
	if _, ok := rest.next().(BatchNorm); !ok {
		return &convBlock{convolution: conv}, 1
	}
	norm := normalization{name: rest[0].name}
	rest = rest[1:]
	if rest.next() != Layer(Activation{ReLU}) {
		return &convNormBlock{convolution: conv, normalization: norm}, 2
	}
	rest = rest[1:]
	pool, ok := rest.next().(MaxPool)
	if ok && pool.Kernel > 1 && strideOf(pool.Stride, pool.Kernel) == pool.Kernel {
		return &convNormReLUPoolBlock{convolution: conv, normalization: norm, pool: pool.Kernel}, 4
	}
	return &convNormReLUPoolBlock{convolution: conv, normalization: norm, pool: 1}, 3
}

// following are the layers after one.
type following []namedLayer

// next returns the next layer, or nil.
func (f following) next() Layer {
	if len(f) == 0 {
		return nil
	}
	return f[0].Layer
}

func strideOf(stride, otherwise int) int {
	if stride == 0 {
		return otherwise
	}
	return stride
}
