//! What the simulated model says next, whatever dialect it is asked in.
//!
//! A user who writes ``run `COMMAND` `` gets a call of the client's shell tool with that command, and once the tool's
//! result is there, what it printed: enough to drive a real agent through a whole turn. ``use a subagent to run
//! `COMMAND` `` goes through the client's subagent tool. A request for a JSON object gets one. Everything else gets the
//! script's text.

use serde_json::{Map, Value, json};

use super::schema;

/// What happened in the conversation, in order, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// A user's text.
    Said(String),
    /// A tool's result.
    Result(String),
}

/// A tool that the request offers.
#[derive(Debug, Clone)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it takes; none: free text.
    pub schema: Option<Value>,
}

/// What the model does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// Gives the script's text.
    Script,
    /// Gives this text.
    Say(String),
    /// Calls a tool.
    Call {
        /// The tool's name.
        tool: String,
        /// What it is given.
        input: Input,
    },
}

/// What a tool is given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Input {
    /// A JSON object.
    Arguments(Value),
    /// Free text.
    Text(String),
}

/// Names of shell tools, the best first.
const SHELLS: [&str; 11] = [
    "Bash",
    "bash",
    "shell",
    "shell_command",
    "exec_command",
    "local_shell",
    "run_shell_command",
    "execute_command",
    "run_terminal_cmd",
    "container.exec",
    "exec",
];

/// Names of tools that start a subagent.
const SUBAGENTS: [&str; 5] = ["Agent", "Task", "task", "agent", "invoke_agent"];

/// Most characters of a tool's result that are repeated to the user.
const MAX_RESULT: usize = 600;

/// Whether a conversation, as raw JSON, could call for more than the script's text: it names a command, or holds what
/// its dialect marks tool results with. Agents' conversations are long; most need no closer look.
pub fn is_worth_reading(conversation: &str, result_marks: &[&str]) -> bool {
    let holds = |mark: &str| memchr::memmem::find(conversation.as_bytes(), mark.as_bytes()).is_some();
    holds("un `") || result_marks.iter().any(|mark| holds(mark))
}

/// What the model does. `format` is the schema of the JSON object that the request demands; `tools` is asked only when
/// it matters, because agents' tool lists are long.
pub fn decide(turns: &[Turn], format: Option<&Value>, tools: impl FnOnce() -> Vec<Tool>) -> Step {
    // A result answers the command before it; a command after it is a new wish.
    let (mut wish, mut result) = (None, None);
    for turn in turns {
        match turn {
            Turn::Said(text) if !is_wrapping(text) => {
                if let Some(command) = command(text) {
                    (wish, result) = (Some((command, text.contains("use a subagent"))), None);
                }
            }
            Turn::Said(_) => {}
            Turn::Result(text) => result = Some(text),
        }
    }
    if let Some(result) = result {
        return Step::Say(format!("FINAL: the command printed: {}", last_characters(result.trim(), MAX_RESULT)));
    }
    if let Some(schema) = format {
        return Step::Say(schema::smallest(schema).to_string());
    }
    let Some((command, delegate)) = wish else { return Step::Script };
    let tools = tools();
    let delegated = if delegate { find(&tools, &SUBAGENTS).and_then(|tool| delegated(tool, command)) } else { None };
    delegated.or_else(|| find(&tools, &SHELLS).map(|tool| ran(tool, command))).unwrap_or(Step::Script)
}

/// What clients add around the user's words (`<system-reminder>…`, `<environment_context>…`) quotes commands that
/// nobody wants run.
fn is_wrapping(text: &str) -> bool {
    text.trim_start().starts_with('<')
}

/// The last ``run `…` `` in a text.
fn command(text: &str) -> Option<&str> {
    const MAX_COMMAND: usize = 400;
    let mut pieces = text.split('`').peekable();
    let mut found = None;
    while let Some(before) = pieces.next() {
        let wanted = before.ends_with("run ") || before.ends_with("Run ");
        // The piece after an opening backtick is a command only if another piece follows, that is, if it is closed.
        if let (true, Some(&inside)) = (wanted, pieces.peek()) {
            let mut rest = pieces.clone();
            rest.next();
            if rest.peek().is_some() && !inside.is_empty() && inside.len() <= MAX_COMMAND {
                found = Some(inside);
            }
        }
    }
    found
}

fn find<'t>(tools: &'t [Tool], names: &[&str]) -> Option<&'t Tool> {
    names.iter().find_map(|name| tools.iter().find(|tool| tool.name == *name))
}

fn ran(tool: &Tool, command: &str) -> Step {
    let input = match &tool.schema {
        // Codex's "code mode": the one tool takes JavaScript, in which the shell is a function.
        None => Input::Text(format!(
            "const result = await tools.exec_command({{ cmd: {} }});\ntext(result.output ?? JSON.stringify(result));\n",
            Value::from(command)
        )),
        Some(schema) => Input::Arguments(shell_arguments(schema, command)),
    };
    Step::Call { tool: tool.name.clone(), input }
}

fn shell_arguments(schema: &Value, command: &str) -> Value {
    let mut arguments = required(schema);
    for (name, part) in properties(schema) {
        let is_array = part.get("type").and_then(Value::as_str).is_some_and(|kind| kind.eq_ignore_ascii_case("array"));
        match name.as_str() {
            "command" | "cmd" if is_array => arguments.insert(name.clone(), json!(["bash", "-lc", command])),
            "command" | "cmd" => arguments.insert(name.clone(), json!(command)),
            "description" => arguments.insert(name.clone(), json!("Run what the user asked for")),
            _ => None,
        };
    }
    if arguments.is_empty() {
        arguments.insert("command".to_owned(), json!(command));
    }
    Value::Object(arguments)
}

/// None if the tool has no place for a prompt.
fn delegated(tool: &Tool, command: &str) -> Option<Step> {
    let schema = tool.schema.as_ref()?;
    let mut arguments = required(schema);
    let mut told = false;
    for (name, _) in properties(schema) {
        let value = match name.as_str() {
            "prompt" | "objective" | "task" => {
                told = true;
                json!(format!("run `{command}` and report what it printed"))
            }
            "description" => json!("Run a command"),
            "subagent_type" if tool.name == "task" => json!("general"),
            "subagent_type" => json!("general-purpose"),
            "agent_name" => json!("generalist"),
            // The answer is wanted in this turn.
            "run_in_background" => json!(false),
            _ => continue,
        };
        arguments.insert(name.clone(), value);
    }
    told.then(|| Step::Call { tool: tool.name.clone(), input: Input::Arguments(Value::Object(arguments)) })
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

/// Unlike a demanded object, a call without a list of required fields needs none.
fn required(schema: &Value) -> Map<String, Value> {
    let names = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let part =
        |name: &str| Some((name.to_owned(), schema::smallest_within(schema.get("properties")?.get(name)?, schema)));
    names.filter_map(part).collect()
}

fn last_characters(text: &str, most: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(most))..]
}

/// All text in a content value, whatever its shape: a string, an array of parts, an object that wraps one of those.
pub fn flat(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(flat).collect::<Vec<_>>().join("\n"),
        Value::Object(fields) => {
            let inner = ["text", "output", "content", "result", "error"].iter().find_map(|name| fields.get(*name));
            inner.map_or_else(|| value.to_string(), flat)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Turn {
        Turn::Said(text.to_owned())
    }

    fn result(text: &str) -> Turn {
        Turn::Result(text.to_owned())
    }

    fn bash() -> Tool {
        let schema =
            json!({"properties":{"command":{"type":"string"},"timeout":{"type":"number"}},"required":["command"]});
        Tool { name: "bash".into(), schema: Some(schema) }
    }

    fn call(tool: &str, arguments: Value) -> Step {
        Step::Call { tool: tool.into(), input: Input::Arguments(arguments) }
    }

    #[track_caller]
    fn does(turns: &[Turn], want: &Step) {
        assert_eq!(decide(turns, None, || vec![bash()]), *want, "{turns:?}");
    }

    #[test]
    fn what_it_does() {
        let ls = call("bash", json!({"command":"ls"}));
        does(&[said("hello")], &Step::Script);
        does(&[said("run `ls` please")], &ls);
        does(&[said("Run `ls`")], &ls);
        does(&[said("run `ls` or rather run `pwd`")], &call("bash", json!({"command":"pwd"})));
        does(&[said("run `ls")], &Step::Script);
        does(&[said("run ``")], &Step::Script);
        does(&[said("I ran `ls`")], &Step::Script);
        does(&[said("run `ls`"), said("<system-reminder>run `rm`</system-reminder>")], &ls);
        does(&[said("run `ls`"), result(" a \n")], &Step::Say("FINAL: the command printed: a".into()));
        does(&[said("run `pwd`"), result("/"), said("now run `ls`")], &ls);
    }

    #[test]
    fn without_a_shell_there_is_nothing_to_run() {
        assert_eq!(decide(&[said("run `ls`")], None, Vec::new), Step::Script);
    }

    #[test]
    fn a_demanded_object_comes_first() {
        let schema = json!({"properties":{"title":{"type":"string"}},"required":["title"]});
        assert_eq!(decide(&[said("run `ls`")], Some(&schema), || vec![bash()]), Step::Say(r#"{"title":"x"}"#.into()));
    }

    #[test]
    fn a_free_text_tool_is_given_a_program() {
        let exec = Tool { name: "exec".into(), schema: None };
        let Step::Call { input: Input::Text(program), .. } = decide(&[said("run `echo \"a\"`")], None, || vec![exec])
        else {
            panic!("no free text")
        };
        assert!(program.contains(r#"cmd: "echo \"a\"""#), "{program}");
    }

    #[test]
    fn a_list_of_words_is_given_a_shell() {
        let schema = json!({"properties":{"command":{"type":"ARRAY"}}});
        let tool = Tool { name: "shell".into(), schema: Some(schema) };
        let want = call("shell", json!({"command":["bash","-lc","ls"]}));
        assert_eq!(decide(&[said("run `ls`")], None, || vec![tool]), want);
    }

    #[test]
    fn a_subagent_is_handed_the_command() {
        let schema = json!({
            "properties":{
                "description":{"type":"string"},
                "prompt":{"type":"string"},
                "run_in_background":{"type":"boolean"}
            },
            "required":["description","prompt"]
        });
        let tools = || vec![bash(), Tool { name: "Agent".into(), schema: Some(schema) }];
        let Step::Call { tool, input: Input::Arguments(arguments) } =
            decide(&[said("use a subagent to run `ls`")], None, tools)
        else {
            panic!("no call")
        };
        assert_eq!(tool, "Agent");
        assert_eq!(arguments["run_in_background"], json!(false));
        assert!(arguments["prompt"].as_str().is_some_and(|prompt| prompt.contains("run `ls`")));
    }

    #[test]
    fn a_long_result_is_cut_between_characters() {
        let Step::Say(text) = decide(&[result(&"€".repeat(1000))], None, Vec::new) else { panic!("no text") };
        assert!(text.len() < 700 && text.ends_with('€'));
    }
}
