#version 450
// A pixel of the live window: the texture (letters, pictures, and a white texel for
// what has none) in the vertices' colour.

layout(binding = 0) uniform sampler2D atlas;

layout(location = 0) in vec2 texture_place;
layout(location = 1) in vec4 tint;

layout(location = 0) out vec4 colour;

void main() { colour = texture(atlas, texture_place) * tint; }
