"""Which kernels have faults planted in copies of their source, and which faults."""
import dataclasses

DEVICE = ("device/tile.cuh", "device/divisor.cuh", "device/windows.cuh", "device/operands.cuh", "device/block_product.cuh",
          "device/block_product_float.cuh", "device/pieces.cuh", "kernels/clients.cuh")


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A program of mutants: the sources that are copied, the text that runs a mutant, what that text wants to know, and
    which of the sources is the kernel's own, whose barriers, waits and commits are deleted in turn: the last one, or
    `deleted_in`."""
    sources: tuple
    case: str
    headers: tuple = ()
    defines: tuple = ()
    deletions: bool = True
    deleted_in: str = ""

    def own(self):
        return self.deleted_in or self.sources[-1]


@dataclasses.dataclass(frozen=True)
class Fault:
    """`old` in the copy of `source` becomes `new`."""
    kernel: str
    source: str
    old: str
    new: str


FORWARD = DEVICE + ("kernels/forward_one_pass.cuh",)
ATTENTION = DEVICE + ("kernels/attention.cuh",)
ATTENTION_PROBLEM = ("cuda/kernels/attention_problem.hpp",)
KERNELS = {
    "forward_one_pass": Kernel(FORWARD, "forward_one_pass", ("cuda/kernels/forward.hpp",),
                               ("LORU_PLANTED_MATH Bf16", "LORU_PLANTED_FILL Fill::integers")),
    # Integers are exact in tf32 whether rounded or not.
    "forward_tf32": Kernel(FORWARD, "forward_one_pass", ("cuda/kernels/forward.hpp",),
                           ("LORU_PLANTED_MATH Tf32", "LORU_PLANTED_FILL Fill::random"), deletions=False),
    "products_across": Kernel(DEVICE + ("kernels/products_across.cuh",), "products_across"),
    "pieces": Kernel(DEVICE + ("kernels/products_across.cuh",), "pieces", deleted_in="device/pieces.cuh"),
    # Barriers, waits and commits are those of the kernels above and below.
    "windows": Kernel(DEVICE + ("kernels/products_across.cuh", "kernels/products_down.cuh"), "windows", deletions=False),
    "products_down": Kernel(DEVICE + ("kernels/products_down.cuh",), "products_down"),
    "backward_dx": Kernel(DEVICE + ("kernels/backward_dx.cuh",), "backward_dx"),
    "backward_dx_tf32": Kernel(DEVICE + ("kernels/backward_dx.cuh",), "backward_dx", (), ("LORU_PLANTED_MATH Tf32",),
                               deletions=False),
    "reduce_rows": Kernel(DEVICE + ("kernels/reduce_rows.cuh",), "reduce_rows"),
    "reduce_rows_tf32": Kernel(DEVICE + ("kernels/reduce_rows.cuh",), "reduce_rows_tf32", (),
                               ("LORU_PLANTED_MATH Tf32",), deletions=False),
    "backward_dSdB": Kernel(DEVICE + ("kernels/reduce_rows.cuh", "kernels/backward_dSdB.cuh"), "backward_dSdB"),
    "merge": Kernel(DEVICE + ("kernels/merge.cuh",), "merge"),
    "attention_forward": Kernel(ATTENTION + ("kernels/attention_forward.cuh",), "attention_forward", ATTENTION_PROBLEM,
                                ("LORU_PLANTED_MATH Bf16",)),
    "attention_dq": Kernel(ATTENTION + ("kernels/attention_dq.cuh",), "attention_dq", ATTENTION_PROBLEM,
                           ("LORU_PLANTED_MATH Bf16",)),
    # Operands of 32 bits are stored for the next product in another order.
    "attention_dq_tf32": Kernel(ATTENTION + ("kernels/attention_dq.cuh",), "attention_dq", ATTENTION_PROBLEM,
                                ("LORU_PLANTED_MATH Tf32",), deletions=False),
    "attention_dkv": Kernel(ATTENTION + ("kernels/attention_dq.cuh", "kernels/attention_dkv.cuh"), "attention_dkv",
                            ATTENTION_PROBLEM, ("LORU_PLANTED_MATH Bf16",)),
    # All shared memory of the ops: sums, norms, losses and biases go through the folds; the rest use none.
    "folds": Kernel(("ops/map.cuh", "ops/fold.cuh"), "folds", ("loru/cuda/ops/map.cuh",)),
    "columns": Kernel(("ops/fold.cuh", "ops/columns.cuh"), "columns", ("loru/cuda/ops/map.cuh",)),
    "conv": Kernel(("ops/conv_kernels.cuh",), "conv", ("loru/cuda/ops/conv_sources.cuh",)),
}

FLASH, DQ, DKV = "kernels/attention_forward.cuh", "kernels/attention_dq.cuh", "kernels/attention_dkv.cuh"
ONE_PASS, TILE, OPERANDS = "kernels/forward_one_pass.cuh", "device/tile.cuh", "device/operands.cuh"
FAULTS = {
    "barrier_in_a_branch": Fault(
        "forward_one_pass", ONE_PASS, "    __syncthreads();", "    if (threadIdx.x < 224) __syncthreads();"),
    "load_before_the_barrier": Fault(
        "forward_one_pass", ONE_PASS, "cp_async_wait<Stages - 2>();",
        "if (tile + Stages - 1 < tiles) load(tile + Stages - 1); cp_async_wait<Stages - 2>();"),
    "tail_one_column_too_many": Fault(
        "forward_one_pass", TILE, "source.cols - column - j", "source.cols + 1 - column - j"),
    "tail_one_row_too_many": Fault(
        "forward_one_pass", TILE, "row + i < source.rows ?", "row + i <= source.rows ?"),
    "tail_last_step_left_out": Fault(
        "forward_one_pass", ONE_PASS, "tiles = divide_up(x.cols, depth)", "tiles = x.cols / depth"),
    "tail_one_row_too_many_written": Fault(
        "forward_one_pass", ONE_PASS, "rows_before(p.y, block.last)", "rows_before(p.y, block.last + 1)"),
    "fragment_index": Fault(
        "forward_one_pass", OPERANDS, "(column + j * 8 + lane / 16 * 8 + lane % 8) * Stride + half",
        "(column + j * 8 + lane / 8 % 2 * 8 + lane % 8) * Stride + half"),
    "fragment_registers": Fault(
        "forward_one_pass", OPERANDS, "round_operand<T>(f);\n    b[j][0] = f[0], b[j][1] = f[1],",
        "round_operand<T>(f);\n    b[j][0] = f[1], b[j][1] = f[0],"),
    "accumulator_rows": Fault(
        "forward_one_pass", "device/block_product.cuh", "row() + i * 16 + h * 8 + lane / 4",
        "row() + i * 16 + (1 - h) * 8 + lane / 4"),
    "wait_for_a_group_too_few": Fault(
        "forward_one_pass", ONE_PASS, "cp_async_wait<Stages - 2>();", "cp_async_wait<Stages - 1>();"),
    "too_little_shared_memory": Fault(
        "forward_one_pass", ONE_PASS, "stages * stage : epilogue", "(stages - 1) * stage : epilogue"),
    "S_not_scaled": Fault("forward_one_pass", ONE_PASS, "(Ss, client.s)", "(Ss, 1.0f)"),
    "tf32_not_rounded": Fault("forward_tf32", TILE, "f[i] = to_tf32(f[i]);", "f[i] = f[i];"),
    "second_product_left_out": Fault(
        "products_across", "kernels/products_across.cuh", "all = first + divide_up(of.p.cols, depth)", "all = first"),
    "windows_without_padding": Fault(
        "windows", "device/windows.cuh", "y = y * stride - padding + down", "y = y * stride + down"),
    "windows_without_dilation": Fault("windows", "device/windows.cuh", "down = row * dilation", "down = row"),
    "windows_one_row_beyond_the_image": Fault("windows", "device/windows.cuh", "if (y >= height ||", "if (y > height ||"),
    "windows_of_the_next_channel": Fault(
        "windows", "device/windows.cuh", "of_channels.remainder(k, place)", "(k + 1) % channels"),
    "reach_between_strides": Fault(
        "windows", "device/windows.cuh", "if (strides.remainder(y, oh) != 0 || ", "if ("),
    "places_not_regrouped": Fault(
        "windows", "device/windows.cuh", "outs.remainder(k, place) * places + place", "k"),
    "division_without_its_one": Fault("windows", "device/divisor.cuh", "<< 32) / by + 1)", "<< 32) / by)"),
    "piece_last_one_left_out": Fault("pieces", "device/pieces.cuh", "k < count; ++k", "k < count - 1; ++k"),
    "piece_of_another_result": Fault("pieces", "device/pieces.cuh", "static_cast<std::int64_t>(block) * pieces * (",
                                     "static_cast<std::int64_t>(0) * pieces * ("),
    "piece_last_group_left_out": Fault("pieces", "device/pieces.cuh", "first, 0, groups, each,", "first, 0, groups - 1, each,"),
    "piece_all_groups_in_one_step": Fault("pieces", "device/pieces.cuh", "slot(first + k * step)", "slot(first + k)"),
    "piece_added_to_its_own": Fault("pieces", "device/pieces.cuh", "(int, float& v) { v = 0.0f; }", "(int, float&) {}"),
    "piece_begins_one_tile_late": Fault(
        "pieces", "kernels/products_across.cuh", "static_cast<int>(blockIdx.z) * piece.each",
        "static_cast<int>(blockIdx.z) * (piece.each + 1)"),
    "transposition_forgotten": Fault(
        "reduce_rows", OPERANDS, "ldmatrix_x4_trans(a,", "ldmatrix_x4(a,"),
    "one_buffer_for_two": Fault(
        "backward_dSdB", "kernels/backward_dSdB.cuh", "(Ss + step % stages * Tile::S_stage,", "(Ss,"),
    "one_stage_too_few": Fault(
        "backward_dSdB", "kernels/backward_dSdB.cuh", "(dy_at + stages * dy_stage)", "(dy_at + (stages - 1) * dy_stage)"),
    "columns_that_are_not_there": Fault(
        "backward_dSdB", "kernels/backward_dSdB.cuh", "divide_up(p.dy.cols - column0, cols)", "(p.dy.cols - column0) / cols"),
    "dS_not_scaled": Fault("backward_dx", "kernels/backward_dx.cuh", "(shared, client.s)", "(shared, 1.0f)"),
    "k_of_a_lane": Fault("backward_dx_tf32", OPERANDS, ": t + 4 * half", ": 2 * t + half"),
    "tf32_left_not_rounded": Fault("reduce_rows_tf32", OPERANDS, "a[e] = to_tf32(", "a[e] = ("),
    "tf32_right_not_rounded": Fault("reduce_rows_tf32", OPERANDS, "b[j][e] = to_tf32(", "b[j][e] = ("),
    "merge_last_ranks_left_out": Fault(
        "merge", "kernels/merge.cuh", "q < client.A.rows", "q + MergeTile::ranks <= client.A.rows"),
    "merge_second_output_left_out": Fault("merge", "kernels/merge.cuh", "if (p.copy.data)", "if (p.copy.data == nullptr)"),
    "fold_lanes_left_out": Fault("folds", "ops/fold.cuh", "int distance = 16;", "int distance = 8;"),
    "fold_last_warp_left_out": Fault("folds", "ops/fold.cuh", "warp < fold_warps;", "warp < fold_warps - 1;"),
    "fold_too_few_columns": Fault("columns", "ops/columns.cuh", "(blockIdx.x % tiles) * column_lanes", "(blockIdx.x % tiles)"),
    "fold_loop_of_the_next_block": Fault("folds", "ops/map.cuh", "first_block[middle] <= block", "first_block[middle] < block"),
    "finish_first_rows_of_a_column_left_out": Fault(
        "columns", "ops/columns.cuh", "y == 0 ? other : policy.join(values, other)", "policy.join(values, other)"),
    "finish_not_stored": Fault("columns", "ops/columns.cuh", "if (blockIdx.y == 0 && ty == 0)", "if (blockIdx.y == 2)"),
    "finish_one_row_too_many": Fault(
        "columns", "ops/columns.cuh", "min(first + rows_each, rows);", "min(first + rows_each, rows + 1);"),
    "finish_columns_that_are_not_there": Fault("columns", "ops/columns.cuh", "  if (j >= c) return;\n  for (int y = 0;",
                                               "  for (int y = 0;"),
    "conv_one_buffer_for_two": Fault("conv", "ops/conv_kernels.cuh", "shared + tile % 2 * 2 * side + at;", "shared + at;"),
    "conv_one_row_too_many_written": Fault(
        "conv", "ops/conv_kernels.cuh", "if (row < rows && column < columns)", "if (row <= rows && column < columns)"),
    "conv_pixels_of_the_next_piece": Fault(
        "conv", "ops/conv_kernels.cuh", "pixel < last ? pixel : left.rows()", "pixel < left.rows() ? pixel : left.rows()"),
    "attention_mask_off_by_one": Fault(
        "attention_forward", "kernels/attention.cuh", "b.keys - b.queries + 1 + query", "b.keys - b.queries + 2 + query"),
    "attention_sum_not_rescaled": Fault("attention_forward", FLASH, "sum[s] *= factor[s];", ""),
    "attention_rows_not_rescaled": Fault("attention_forward", FLASH, "v *= factor[slot];", "v *= 1.0f;"),
    "attention_maximum_of_one_warp": Fault("attention_forward", FLASH, "part < Scores::row_parts", "part < 1"),
    "attention_wrong_head_of_keys": Fault(
        "attention_forward", "kernels/attention.cuh", "head / (heads / groups)", "head % groups"),
    "attention_last_keys_left_out": Fault(
        "attention_forward", FLASH, "divide_up(p.of.visible_to_block(b), Tile::keys)",
        "max(1, p.of.visible_to_block(b) / Tile::keys)"),
    "attention_wait_for_a_group_too_few": Fault(
        "attention_forward", FLASH, "cp_async_wait<1>();", "cp_async_wait<2>();"),
    "attention_offset_left_out": Fault("attention_dq", DQ, "weight * (v - delta[slot])", "weight * v"),
    "attention_dq_mask_off_by_one": Fault("attention_dq", DQ, "key + column < visible[slot]", "key + column <= visible[slot]"),
    "attention_dq_one_buffer_for_two": Fault(
        "attention_dq", DQ, "const T* const Ks = stages + step % Tile::stages * Tile::stage;", "const T* const Ks = stages;"),
    "attention_dq_not_scaled": Fault("attention_dq", DQ, "0, p.of.scale)", "0, 1.0f)"),
    "attention_pairs_in_natural_order": Fault(
        "attention_dq_tf32", "device/block_product.cuh", "column / 8 * 8 + column % 8 / 2;", "column - column % 2 * 3;"),
    "attention_pairs_read_in_natural_order": Fault(
        "attention_dq_tf32", OPERANDS, "in_pairs<Paired<T, Stride>> = true", "in_pairs<Paired<T, Stride>> = false"),
    "attention_dkv_of_one_head_alone": Fault("attention_dkv", DKV, "count{blocks * (of.heads / of.groups)}", "count{blocks}"),
    "attention_dkv_first_query_left_out": Fault(
        "attention_dkv", "kernels/attention.cuh", "b.first + b.queries - b.keys)", "b.first + b.queries - b.keys + 1)"),
    "attention_dkv_mask_off_by_one": Fault("attention_dkv", DKV, "< of.visible(", "<= of.visible("),
    "attention_dkv_p_for_ds": Fault("attention_dkv", DKV, "{dSs}", "{Ps}"),
    "attention_dkv_sums_of_one_stage": Fault(
        "attention_dkv", DKV, "query, sums + step % Tile::stages * 2 * Tile::queries", "query, sums"),
}
