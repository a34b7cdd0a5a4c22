"""The faults that are caused in a test, each with the tests that cause it; ``test_table`` fails on a row without one.

A test is ``folder/file.py::name`` below ``tests``.
"""

from __future__ import annotations

TRAIN, STOP, LINE = "faults/test_train_stage.py", "faults/test_stopping.py", "faults/test_one_line.py"
CHECKPOINTS, FAULTS, TRACKING = "training/test_checkpoints.py", "training/test_faults.py", "training/test_tracking.py"
JSONL, LOCKS, INPUTS = "records/test_jsonl.py", "records/test_locks.py", "cli/test_hostile_inputs.py"

TABLE: dict[str, tuple[str, ...]] = {
    "SIGKILL in a step": (f"{TRAIN}::test_a_killed_run_ends_as_if_nothing_had_happened",),
    "SIGKILL in training, then in sampling": (
        "journeys/test_demo.py::test_killed_while_training_and_while_sampling_it_continues_to_the_same_result",
    ),
    "the machine goes away in a save": (f"{TRAIN}::test_a_checkpoint_that_was_not_completed_is_passed_over",),
    "a file of the newest checkpoint is flipped, cut, gone": (
        f"{CHECKPOINTS}::test_damage_to_any_file_is_found",
        f"{CHECKPOINTS}::test_every_flipped_byte_is_found",
    ),
    "all checkpoints are damaged": (
        f"{TRAIN}::test_damaged_checkpoints_alone_are_an_error",
        f"{CHECKPOINTS}::test_never_silently_from_the_beginning",
    ),
    "all manifests or checkpoints are gone": (f"{STOP}::test_all_manifests_gone_is_not_the_beginning",),
    "SIGINT, SIGHUP, SIGTERM, SIGUSR1 in a step": (f"{STOP}::test_a_stopped_run_goes_on_as_if_nothing_had_happened",),
    "the same while samples are drawn": (
        "stages/test_sample.py::test_a_run_that_is_asked_to_stop_keeps_its_part_and_goes_on",
    ),
    "a second signal": ("core/test_stopping.py::test_a_second_one_stops_at_once",),
    "the terminal closes": ("core/test_stopping.py::test_a_terminal_that_closes_does_not_end_the_work",),
    "tmux kill-session": ("project/test_launch.py::test_kill_session_lets_the_run_save_and_starts_no_other",),
    "a lane of launch is preempted": (
        "project/test_launch.py::test_a_run_that_was_asked_to_stop_stops_those_after_it",
    ),
    "another number of steps for a run that has begun": (
        f"{STOP}::test_a_run_is_extended_on_purpose_only_and_says_so",
    ),
    "the disk is full in a save": (
        f"{LINE}::test_a_disk_that_is_full_while_saving",
        f"{LINE}::test_every_librarys_words_for_a_full_disk",
    ),
    "the disk is full in a log": (f"{JSONL}::test_a_full_disk_leaves_no_half_row",),
    "the output root cannot be written": (f"{LINE}::test_an_output_root_that_cannot_be_written",),
    "W&B is down": (f"{TRACKING}::test_when_the_service_is_down_the_run_goes_on_offline",),
    "W&B fails in the middle": (f"{TRACKING}::test_when_wandb_fails_in_the_middle_it_is_left_out",),
    "corrupt rows of data": (
        f"{TRAIN}::test_bad_rows_stop_the_run_before_a_model_is_loaded",
        f"{JSONL}::test_bom_crlf_blank_lines_and_a_missing_last_line_end_are_tolerated",
    ),
    "half a line at the end of a log": (f"{JSONL}::test_a_torn_last_line_is_removed_on_reopening",),
    "rows longer than the window": (f"{TRAIN}::test_rows_longer_than_the_window_are_counted_and_named",),
    "a gradient that is no number": (
        f"{FAULTS}::test_a_step_with_gradients_that_are_no_numbers_is_not_applied",
        f"{FAULTS}::test_too_many_in_a_row_stop_the_run",
    ),
    "weights that are no numbers": (f"{TRAIN}::test_weights_that_are_no_numbers_are_never_saved",),
    "a diversity term without effect": ("training/test_health.py::test_a_dead_term_stops_the_run_after_a_checkpoint",),
    "two processes in one folder": (
        f"{TRAIN}::test_another_configuration_or_process_in_the_folder_is_refused",
        f"{LOCKS}::test_the_second_process_is_told_who_the_first_is",
        f"{LOCKS}::test_a_killed_process_holds_nothing",
    ),
    "a rank is killed": ("faults/test_ranks.py::test_ranks_that_are_killed_end_and_the_same_command_continues",),
    "the evaluator is interrupted": (
        "stages/test_sample.py::test_an_interrupted_run_draws_only_the_rest",
        "stages/test_verify.py::test_an_interruption_keeps_what_was_judged",
    ),
    "the evaluator of programs is killed": ("sandbox/test_box.py::test_nothing_survives_an_evaluator_that_is_killed",),
    "the sandbox leaks": ("sandbox/test_soak.py::test_two_hundred_runs_leave_nothing",),
    "a server that hangs, or is none": ("samplers/test_server.py::test_no_server_and_a_hanging_server_are_named",),
    "no network and a hub name": (
        "faults/test_hub.py::test_a_hub_that_does_not_answer_is_asked_once",
        "faults/test_hub.py::test_a_run_says_so_before_a_library_is_loaded",
    ),
    "settings that cannot be": (
        f"{LINE}::test_what_cannot_be_is_said_before_a_model_is_loaded",
        f"{LINE}::test_modules_that_the_model_does_not_have",
        "settings/test_load.py::test_a_wrong_configuration_is_one_line_with_file_line_key_and_neighbour",
    ),
    "a conversation and no chat template": (f"{LINE}::test_a_conversation_and_no_chat_template",),
    "a damaged adapter, model, tokenizer or run.json": (f"{LINE}::test_a_damaged_file_of_a_run_or_a_base",),
    "an input without an end": (f"{INPUTS}::test_an_input_without_an_end_is_refused",),
    "a secret in settings": (
        f"{INPUTS}::test_a_secret_is_refused_and_not_repeated",
        "core/test_secrets.py::test_a_secret_is_found_and_not_shown",
    ),
    "names that act on a terminal": (f"{INPUTS}::test_names_that_act_on_a_terminal_are_shown_and_do_nothing",),
    "text that acts on a page": ("reporting/test_hostile.py::test_what_others_wrote_is_text_in_every_output",),
    "a machine without seccomp": ("sandbox/test_confine.py::test_a_machine_without_seccomp_says_so",),
    "data, judge or weights are edited": (
        "faults/test_identity.py::test_a_changed_input_changes_the_evaluation_or_is_refused",
        "faults/test_identity_of_runs.py::test_a_changed_input_stops_a_run_that_goes_on",
    ),
    "the budget is spent": (
        "faults/test_budget.py::test_a_spent_budget_stops_with_a_checkpoint_and_a_larger_one_continues",
    ),
    "a spot instance: kills, HUP, a full disk, W&B dead, a wrong judge": (
        "journeys/test_spot_instance.py::test_nothing_is_lost_nothing_is_wrong_and_nothing_is_silent",
    ),
    "a run dies after its last checkpoint": (
        f"{STOP}::test_a_run_that_died_after_its_last_checkpoint_trains_no_step_more",
    ),
    "a file system that is full, then read-only": (
        "faults/test_file_systems.py::test_a_small_disk_that_is_full_then_read_only_then_large_enough",
    ),
    "too little memory where nothing can be halved": ("cli/test_main.py::test_every_error_is_one_line_and_a_status",),
}
