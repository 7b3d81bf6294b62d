"""Asks a running server for embeddings with the clients that people have, and compares the vectors.

usage: clients.py EXPECTED.json     what openai_test.go writes: the server's URL, texts, the engine's vectors
"""

import asyncio
import json
import sys

import numpy as np
import openai
import tiktoken
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_openai import OpenAIEmbeddings
from llama_index.core import Document, VectorStoreIndex
from llama_index.embeddings.openai_like import OpenAILikeEmbedding

PROJECTED, PLAIN = "projection/faq", "all-MiniLM-L6-v2"


def same(what, found, expected):
    """Compares vectors, within float32 rounding of a batch of another size."""
    found = np.asarray(found, dtype=np.float64)
    assert found.shape == np.shape(expected), f"{what}: shape {found.shape}, expected {np.shape(expected)}"
    difference = np.abs(found - expected).max()
    assert difference <= 1e-6, f"{what}: off by {difference:g}"
    print(f"{what}: {len(found)} vectors, off by {difference:.1e} at most")


def refused(what, call, kind, *words):
    try:
        call()
    except kind as error:
        missing = [word for word in words if word not in str(error)]
        assert not missing, f"{what}: the error is {error}, expected {missing}"
        print(f"{what}: {error}")
        return error
    raise AssertionError(f"{what} was not refused")


def openai_client(expected, texts, plain, projected):
    client = openai.OpenAI(base_url=expected["url"], api_key=expected["token"], max_retries=0)
    # Without encoding_format this client asks for base64.
    answer = client.embeddings.create(model=PROJECTED, input=texts)
    same("openai, base64", [entry.embedding for entry in answer.data], projected)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == expected["tokens"], answer.usage
    answer = client.embeddings.create(model=PROJECTED, input=texts, encoding_format="float", dimensions=384)
    same("openai, float", [entry.embedding for entry in answer.data], projected)
    answer = client.embeddings.create(model="projection/active", input=texts[0])
    same("openai, one text", [answer.data[0].embedding], projected[:1])
    answer = client.embeddings.create(model=PLAIN, input=texts)
    same("openai, plain", [entry.embedding for entry in answer.data], plain)
    answer = client.embeddings.create(model=PROJECTED, input=texts, extra_body={"input_type": "passage"})
    same("openai, input_type", [entry.embedding for entry in answer.data], plain)
    names = [model.id for model in client.models.list()]
    assert names == [PROJECTED, "projection/active", PLAIN], names
    assert client.models.retrieve(PROJECTED).id == PROJECTED

    async def several():
        async with openai.AsyncOpenAI(base_url=expected["url"], api_key=expected["token"]) as other:
            return await asyncio.gather(*(other.embeddings.create(model=PROJECTED, input=[text]) for text in texts[:8]))

    same("openai, async", [answer.data[0].embedding for answer in asyncio.run(several())], projected[:8])

    create = client.embeddings.create
    refused("tokens", lambda: create(model=PROJECTED, input=[[1, 2], [3]]), openai.BadRequestError, "check_embedding_ctx_length")
    error = refused("dimensions", lambda: create(model=PROJECTED, input="x", dimensions=64), openai.BadRequestError, "expected 384")
    assert (error.param, error.code, error.type) == ("dimensions", "invalid_argument", "invalid_request_error"), error
    error = refused("model", lambda: create(model="text-embedding-3-small", input="x"), openai.NotFoundError, PROJECTED, PLAIN)
    assert (error.param, error.code) == ("model", "model_not_found"), error
    stranger = client.with_options(api_key="another token")
    refused("token", lambda: stranger.embeddings.create(model=PROJECTED, input="x"), openai.AuthenticationError, "bearer token")


def langchain(expected, texts, plain, projected):
    def embeddings(model, **options):
        return OpenAIEmbeddings(model=model, base_url=expected["url"], api_key=expected["token"], max_retries=0, **options)

    questions = embeddings(PROJECTED, check_embedding_ctx_length=False)
    answers = embeddings(PLAIN, check_embedding_ctx_length=False, chunk_size=7)
    same("LangChain, questions", [questions.embed_query(text) for text in texts[:4]], projected[:4])
    same("LangChain, answers", answers.embed_documents(texts), plain)
    same("LangChain, async", asyncio.run(questions.aembed_documents(texts)), projected)
    store = InMemoryVectorStore(answers)
    store.add_texts(texts)
    found = store.similarity_search_by_vector(questions.embed_query(texts[0]), k=1)
    best = int(np.argmax(plain @ projected[0]))
    assert found[0].page_content == texts[best], found

    # By default it sends the numbers of its own tokenizer, whose vocabulary it would have to download.
    class Tokenizer:
        def encode_ordinary(self, text):
            return list(text.encode())

        encode = encode_ordinary

    tiktoken.get_encoding = lambda name: Tokenizer()
    refused("LangChain, tokens", lambda: embeddings(PROJECTED).embed_query("x"), openai.BadRequestError, "check_embedding_ctx_length=False")


def llama_index(expected, texts, plain, projected):
    def embedding(model, **options):
        return OpenAILikeEmbedding(
            model_name=model, api_base=expected["url"], api_key=expected["token"], max_retries=0, **options
        )

    questions, answers = embedding(PROJECTED), embedding(PLAIN, embed_batch_size=7)
    same("LlamaIndex, questions", [questions.get_query_embedding(text) for text in texts[:4]], projected[:4])
    same("LlamaIndex, answers", answers.get_text_embedding_batch(texts), plain)
    same("LlamaIndex, async", [asyncio.run(questions.aget_query_embedding(texts[0]))], projected[:1])
    index = VectorStoreIndex.from_documents([Document(text=text) for text in texts], embed_model=answers)
    found = index.as_retriever(embed_model=questions, similarity_top_k=1).retrieve(texts[0])
    best = int(np.argmax(plain @ projected[0]))
    assert found[0].text == texts[best], found


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        expected = json.load(file)
    vectors = [np.array(expected[name], dtype=np.float64) for name in ("plain", "projected")]
    for clients in (openai_client, langchain, llama_index):
        clients(expected, expected["texts"], *vectors)


if __name__ == "__main__":
    main()
