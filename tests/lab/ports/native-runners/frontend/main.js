console.log("documents");
