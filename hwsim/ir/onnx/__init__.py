"""Networks from ONNX files.

| module       | what                                                                  |
|--------------|-----------------------------------------------------------------------|
| `importer`   | `onnx_network`: a file becomes a `Network`                            |
| `model`      | reads a file that nobody vouches for                                  |
| `guards`     | what is checked before ONNX's own shape inference runs                |
| `values`     | types and sizes of values                                             |
| `constants`  | weights, and the integers that shapes are computed from               |
| `lowering`   | the state while nodes become layers                                   |
| `node`       | one node becomes layers, a constant, or is listed as unsupported      |
| `products`   | convolutions and matrix products                                      |
| `attention`  | Einsum and Attention                                                  |
| `recurrent`  | LSTM, GRU and RNN                                                     |
| `operators`  | elementwise, activation, normalisation, softmax, pooling, reduction   |
| `layout`     | operators that move elements and compute nothing                      |
"""
